package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRowDots(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		for _, tt := range []struct{ rows, n int }{{0, 5}, {1, 1}, {3, 7}, {4, 64}, {257, 33}, {600, 512}, {5, 0}} {
			rng := rand.New(rand.NewPCG(3, uint64(tt.rows)))
			x, m := uniform[float32](rng, tt.n), uniform[float32](rng, tt.rows*tt.n)
			xq, mq := make([]int8, tt.n), make([]int8, tt.rows*tt.n)
			for _, q := range [][]int8{xq, mq} {
				for i := range q {
					q[i] = int8(rng.IntN(255) - 127)
				}
			}
			scales := uniform[float32](rng, tt.rows)
			got, gotQ := dirty[float32](tt.rows), dirty[float32](tt.rows)
			RowDots(got, x, m)
			RowDotsInt8(gotQ, xq, mq, scales, 0.5)
			for i := range tt.rows {
				want, sum := 0.0, int32(0)
				for j := range tt.n {
					want += float64(x[j]) * float64(m[i*tt.n+j])
					sum += int32(xq[j]) * int32(mq[i*tt.n+j])
				}
				if math.Abs(float64(got[i])-want) > 1e-5*float64(tt.n+1) {
					t.Errorf("%d rows of %d: product %d = %g, want %g", tt.rows, tt.n, i, got[i], want)
				}
				if w := 0.5 * scales[i] * float32(sum); gotQ[i] != w {
					t.Errorf("%d rows of %d bytes: product %d = %g, want %g", tt.rows, tt.n, i, gotQ[i], w)
				}
			}
		}
	})
}

func TestRowDotsAnywhere(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 5))
		const rows, n = 33, 75
		x, row := uniform[float32](rng, n), uniform[float32](rng, n)
		m := make([]float32, 0, rows*n)
		for range rows {
			m = append(m, row...)
		}
		got := make([]float32, rows)
		RowDots(got, x, m)
		for i, v := range got {
			if v != got[0] {
				t.Errorf("product %d = %v, product 0 = %v, of equal rows", i, v, got[0])
			}
		}
	})
}
