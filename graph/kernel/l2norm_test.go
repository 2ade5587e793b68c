package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestL2Normalize(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testL2Normalize[float32](t, 5e-7) })
	t.Run("float64", func(t *testing.T) { testL2Normalize[float64](t, 1e-14) })
}

func testL2Normalize[T Float](t *testing.T, tol float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][2]int{{0, 3}, {2, 0}, {1, 1}, {5, 7}, {300, 65}} {
		rows, n := s[0], s[1]
		x, dy := uniform[T](rng, rows*n), uniform[T](rng, rows*n)
		y, dx, norm := dirty[T](rows*n), dirty[T](rows*n), dirty[T](rows)
		L2Normalize(y, norm, x, 1e-6, n)
		L2NormalizeBackward(dx, y, norm, dy, 1e-6, n)
		for r := range rows {
			u, g := widen(x[r*n:(r+1)*n]), widen(dy[r*n:(r+1)*n])
			var sq, inner float64
			for j := range u {
				sq += u[j] * u[j]
				inner += u[j] * g[j]
			}
			length := math.Sqrt(sq)
			want, dwant := make([]float64, n), make([]float64, n)
			for j := range u {
				want[j] = u[j] / length
				dwant[j] = g[j]/length - u[j]*inner/(length*sq)
			}
			near(t, "norm", norm[r:r+1], []float64{length}, tol)
			near(t, "y", y[r*n:(r+1)*n], want, tol)
			near(t, "dx", dx[r*n:(r+1)*n], dwant, 4*tol)
		}
	}
}

func TestL2NormalizeShortRows(t *testing.T) {
	x := []float64{0, 0, 3e-4, 4e-4, 3, math.NaN()}
	y, norm, dx := make([]float64, 6), make([]float64, 3), make([]float64, 6)
	L2Normalize(y, norm, x, 1e-3, 2)
	near(t, "y", y, []float64{0, 0, 0.3, 0.4, math.NaN(), math.NaN()}, 1e-15)
	L2NormalizeBackward(dx, y, norm, []float64{1, 2, 3, 4, 5, 6}, 1e-3, 2)
	near(t, "dx", dx, []float64{1e3, 2e3, 3e3, 4e3, math.NaN(), math.NaN()}, 1e-12)
}
