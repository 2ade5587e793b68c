package simd

//go:generate go run ./gen/product -out product_amd64.s -stubs product_amd64.go -pkg simd
//go:generate go run ./gen/vector -out vector_amd64.s -stubs vector_amd64.go -pkg simd
