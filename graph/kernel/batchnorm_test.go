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
		k := BatchNorms{B: tt.b, C: tt.c, S: tt.s, Eps: eps, Slope: 1}
		x := randoms[T](r, n*tt.c)
		for i := range x {
			x[i] += T(tt.mean)
		}
		weight, bias, dy := randoms[T](r, tt.c), randoms[T](r, tt.c), randoms[T](r, n*tt.c)
		stats := garbage[T](3 * tt.c)
		y := garbage[T](len(x))
		BatchNorm(y, x, weight, bias, stats, k, true)

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
		BatchNormBackward(dx, dw, db, x, weight, stats, y, dy, k, false)
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
	BatchNorm(y, x, []float32{1, 1}, []float32{0, 0}, stats, BatchNorms{B: 2, C: 2, S: 1, Slope: 1}, true)
	same(t, "y", y, []float64{math.NaN(), -1, math.NaN(), 1}, 1e-6)
}

// TestBatchNormLeakyReLU holds the fused functions against the separate ones,
// and the fast ones against the plain.
func TestBatchNormLeakyReLU(t *testing.T) {
	t.Run("float32", testBatchNormLeakyReLU[float32])
	t.Run("float64", testBatchNormLeakyReLU[float64])
}

func testBatchNormLeakyReLU[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(9, 2))
	for _, s := range []int{1, 15, 49, 2 * normRun, 2*normRun + 5} {
		k := BatchNorms{B: 3, C: 2, S: s, Eps: 1e-5, Slope: 1}
		n := 6 * s
		x, dy := randoms[T](r, n), randoms[T](r, n)
		weight, bias := randoms[T](r, 2), randoms[T](r, 2)
		stats, plain, want := garbage[T](6), garbage[T](n), garbage[T](n)
		BatchNorm(plain, x, weight, bias, stats, k, true)
		LeakyReLU(want, plain, 0.2)
		leaky := k
		leaky.Slope = 0.2
		y := garbage[T](n)
		BatchNorm(y, x, weight, bias, stats, leaky, false)
		same(t, fmt.Sprint(s, " y"), y, doubles(want), 1e-6)

		before := garbage[T](n)
		LeakyReLUBackward(before, plain, dy, 0.2)
		var got, exp [3][]T
		for i, m := range []int{n, 2, 2} {
			got[i], exp[i] = garbage[T](m), garbage[T](m)
		}
		BatchNormBackward(exp[0], exp[1], exp[2], x, weight, stats, plain, before, k, false)
		BatchNormBackward(got[0], got[1], got[2], x, weight, stats, y, dy, leaky, false)
		for i, name := range []string{"dx", "dweight", "dbias"} {
			same(t, fmt.Sprint(s, " ", name), got[i], doubles(exp[i]), 1e-5)
		}
	}
}

func doubles[T Float](x []T) []float64 {
	d := make([]float64, len(x))
	for i, v := range x {
		d[i] = float64(v)
	}
	return d
}
