package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestBatchNorm(t *testing.T) {
	t.Run("float32", testBatchNorm[float32])
	t.Run("float64", testBatchNorm[float64])
}

func testBatchNorm[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	const eps = 1e-5
	for _, tt := range []struct {
		b, c, s int
		mean    float64
	}{{0, 2, 3, 0}, {2, 0, 3, 0}, {1, 1, 2, 0}, {5, 3, 1, 1}, {3, 70, 7, 2}, {2, 3, 4000, 0}, {4, 3, 50, 1000}} {
		n := tt.b * tt.s
		x := randoms[T](r, n*tt.c)
		for i := range x {
			x[i] += T(tt.mean)
		}
		weight, bias, dy := randoms[T](r, tt.c), randoms[T](r, tt.c), randoms[T](r, n*tt.c)
		stats := garbage[T](3 * tt.c)
		Moments(stats, x, tt.b, tt.c, tt.s)
		y := garbage[T](len(x))
		BatchNorm(y, x, weight, bias, stats, eps, tt.b, tt.c, tt.s)

		want := make([]float64, len(x))
		for ch := range tt.c {
			var mean, square float64
			for i := range x {
				if i/tt.s%tt.c == ch {
					mean += float64(x[i]) / float64(n)
				}
			}
			for i := range x {
				if i/tt.s%tt.c == ch {
					square += math.Pow(float64(x[i])-mean, 2) / float64(n)
				}
			}
			if n == 0 {
				continue
			}
			same(t, fmt.Sprint(tt, " variance"), stats[2*tt.c+ch:][:1], []float64{square}, 1e-6)
			for i := range x {
				if i/tt.s%tt.c == ch {
					want[i] = (float64(x[i])-mean)/math.Sqrt(square+eps)*float64(weight[ch]) + float64(bias[ch])
				}
			}
		}
		same(t, fmt.Sprint(tt, " y"), y, want, 1e-6)

		// The gradient of x is orthogonal to what the statistics take away.
		dx, dw, db := garbage[T](len(x)), garbage[T](tt.c), garbage[T](tt.c)
		BatchNormBackward(dx, dw, db, x, weight, stats, dy, false, eps, tt.b, tt.c, tt.s)
		for ch := range tt.c {
			var sum float64
			for i := range dx {
				if i/tt.s%tt.c == ch {
					sum += float64(dx[i])
				}
			}
			if !(math.Abs(sum) < 1e-3) {
				t.Errorf("%v: gradients of channel %d sum to %v, want 0", tt, ch, sum)
			}
		}
	}
}

func TestBatchNormKeepsNaNInItsChannel(t *testing.T) {
	x := []float32{1, 2, float32(math.NaN()), 4} // (2, 2, 1)
	stats, y := garbage[float32](6), garbage[float32](4)
	Moments(stats, x, 2, 2, 1)
	BatchNorm(y, x, []float32{1, 1}, []float32{0, 0}, stats, 0, 2, 2, 1)
	same(t, "y", y, []float64{math.NaN(), -1, math.NaN(), 1}, 1e-6)
}
