//go:build amd64 && !noasm

package simd

import (
	"math/rand/v2"
	"testing"
)

func TestDotInt8(t *testing.T) {
	defer func(before bool) { dots = before }(dots)
	has := dots
	for _, vnni := range []bool{false, true} {
		dots = vnni && has
		atLevels(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 12))
			for _, n := range append(sizes, 512, 768) {
				for _, rows := range []int{0, 1, 3} {
					fill := func(size int) (front, back []int8) {
						front, back = guarded[int8](t, size)
						for i := range front {
							v := int8(rng.IntN(256))
							if n%3 == 0 {
								v = -128 // the greatest sums
							}
							front[i] = v
						}
						copy(back, front)
						return front, back
					}
					m, m2 := fill(rows * n)
					q, q2 := fill(n)
					want := make([]int32, rows)
					for r := range want {
						for j, v := range q {
							want[r] += int32(v) * int32(m[r*n+j])
						}
					}
					for k := range 2 {
						got := make([]int32, rows)
						for i := range got {
							got[i] = 99
						}
						DotInt8Rows(got, [][]int8{m, m2}[k], [][]int8{q, q2}[k])
						for r, w := range want {
							if got[r] != w {
								t.Fatalf("%d rows of %d: product %d = %d, want %d", rows, n, r, got[r], w)
							}
							if one := DotInt8(m[r*n:(r+1)*n], q); one != w {
								t.Fatalf("product of %d bytes = %d, want %d", n, one, w)
							}
						}
					}
				}
			}
		})
	}
}
