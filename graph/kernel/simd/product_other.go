//go:build !amd64 || noasm

package simd

// Without assembly the level is None, and nothing calls these.

const absent = "simd: no kernels on this machine"

func PackPanel(panel []float32, tb bool, b []float32, ldb, k, w int) { panic(absent) }

func BlockScratch(m, k int) int { panic(absent) }

func MulPanels(ta bool, m, n, k int, alpha float32, a []float32, lda int, panels []float32, acc bool, c []float32, ldc int, scratch []float32) {
	panic(absent)
}

func Raw(m int) bool { panic(absent) }

func MulRaw(m, n, k int, alpha float32, a []float32, rsa, csa int, b []float32, ldb int, acc bool, c []float32, ldc int) {
	panic(absent)
}

func Dots(y, x, w []float32, ldw int) { panic(absent) }

func Prefetch(x []float32) { panic(absent) }
