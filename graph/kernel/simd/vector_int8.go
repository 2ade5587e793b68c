//go:build amd64 && !noasm

package simd

import "golang.org/x/sys/cpu"

// dots tells whether AVX-512 comes with the instructions VNNI.
var dots = cpu.X86.HasAVX512VNNI

// DotInt8 returns Σ a b, which must fit: up to 131071 elements always do.
func DotInt8(a, b []int8) int32 {
	var dst [1]int32
	dotRows(dst[:], a, b, len(a))
	return dst[0]
}

// DotInt8Rows sets dst to the products of q with the rows of m, which have its
// length.
func DotInt8Rows(dst []int32, m, q []int8) { dotRows(dst, m, q, len(q)) }

func dotRows(dst []int32, m, q []int8, n int) {
	rows := len(dst)
	if rows == 0 || n == 0 {
		clear(dst)
		return
	}
	_, _ = m[rows*n-1], q[n-1]
	if dots && wide() {
		dotBytesAVX512(&dst[0], &m[0], &q[0], rows, n)
	} else {
		dotBytesAVX2(&dst[0], &m[0], &q[0], rows, n)
	}
}
