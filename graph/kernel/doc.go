// Package kernel computes what operations are made of: plain functions over
// row-major slices, without graphs, tensors or allocation of results.
//
// Work is divided by the shape of the problem alone, never by the number of
// cores, so that results have the same bytes for every GOMAXPROCS. On amd64,
// float32 loops run in AVX-512 or AVX2 (package simd), and the generic code is
// their twin for tests, for float64, for other machines and under the tag
// noasm. Different sets of instructions round differently; one gives the same
// bytes on every machine.
package kernel

// Float is the element type of a graph.
type Float interface{ float32 | float64 }
