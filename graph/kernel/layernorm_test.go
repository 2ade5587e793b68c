package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestLayerNorm(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testLayerNorm[float32](t, 2e-6) })
	t.Run("float64", func(t *testing.T) { testLayerNorm[float64](t, 1e-12) })
}

func testLayerNorm[T Float](t *testing.T, tol float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	const eps = 1e-5
	for _, s := range [][2]int{{0, 4}, {1, 1}, {3, 2}, {5, 33}, {130, 192}} {
		for _, affine := range []bool{false, true} {
			rows, n := s[0], s[1]
			x, dy := uniform[T](rng, rows*n), uniform[T](rng, rows*n)
			for i := range x {
				x[i] = 3*x[i] + 5
			}
			w, b := uniform[T](rng, n), uniform[T](rng, n)
			ww, bb := widen(w), widen(b)
			if !affine {
				w, b = nil, nil
				for j := range ww {
					ww[j], bb[j] = 1, 0
				}
			}
			y, dx := dirty[T](rows*n), dirty[T](rows*n)
			mean, rstd := dirty[T](rows), dirty[T](rows)
			dw, db := dirty[T](n), dirty[T](n)
			LayerNorm(y, mean, rstd, x, w, b, eps, n)
			LayerNormBackward(dx, dw, db, x, w, mean, rstd, dy, n)

			wantW, wantB := make([]float64, n), make([]float64, n)
			for r := range rows {
				row, g := widen(x[r*n:(r+1)*n]), widen(dy[r*n:(r+1)*n])
				var m, v float64
				for _, u := range row {
					m += u / float64(n)
				}
				for _, u := range row {
					v += (u - m) * (u - m) / float64(n)
				}
				s := 1 / math.Sqrt(v+eps)
				hat, want, wantX := make([]float64, n), make([]float64, n), make([]float64, n)
				for j, u := range row {
					hat[j] = (u - m) * s
					want[j] = hat[j]*ww[j] + bb[j]
					wantW[j] += g[j] * hat[j]
					wantB[j] += g[j]
				}
				// The Jacobian of x̂, written out.
				for j := range row {
					for i := range row {
						d := -1/float64(n) - hat[i]*hat[j]/float64(n)
						if i == j {
							d++
						}
						wantX[j] += g[i] * ww[i] * s * d
					}
				}
				name := fmt.Sprint(s, affine)
				near(t, "mean "+name, mean[r:r+1], []float64{m}, tol)
				near(t, "rstd "+name, rstd[r:r+1], []float64{s}, tol)
				near(t, "y "+name, y[r*n:(r+1)*n], want, tol)
				// The stored mean is rounded, which matters in units of the deviation.
				near(t, "dx "+name, dx[r*n:(r+1)*n], wantX, tol*(1+math.Abs(m)*s))
			}
			near(t, "dweight", dw, wantW, 4*tol)
			near(t, "dbias", db, wantB, tol)

			only := dirty[T](n)
			LayerNormBackward(nil, nil, only, x, w, mean, rstd, dy, n)
			near(t, "dbias alone", only, widen(db), 0)
		}
	}
}

func TestLayerNormLargeMean(t *testing.T) {
	x := []float32{1e4 + 1, 1e4 - 1, 1e4 + 1, 1e4 - 1}
	y, mean, rstd := make([]float32, 4), make([]float32, 1), make([]float32, 1)
	LayerNorm(y, mean, rstd, x, nil, nil, 0, 4)
	near(t, "y", y, []float64{1, -1, 1, -1}, 1e-6)
}

func TestLayerNormNaN(t *testing.T) {
	x := []float64{1, 2, math.NaN(), 3, 4, 5}
	y, mean, rstd := make([]float64, 6), make([]float64, 2), make([]float64, 2)
	LayerNorm(y, mean, rstd, x, nil, nil, 1e-5, 3)
	for i, v := range y {
		if math.IsNaN(v) != (i < 3) {
			t.Errorf("y[%d] = %v", i, v)
		}
	}
	LayerNorm(nil, nil, nil, []float64{}, nil, nil, 1e-5, 0)
}
