package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// naiveSoftmax gives the softmax of a row and its logarithm.
func naiveSoftmax(x []float64) (p, logp []float64) {
	top := math.Inf(-1)
	for _, v := range x {
		top = math.Max(top, v)
	}
	var sum float64
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	for _, v := range x {
		p = append(p, math.Exp(v-top)/sum)
		logp = append(logp, v-top-math.Log(sum))
	}
	return p, logp
}

func TestSoftmax(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testSoftmax[float32](t, 1e-6) })
	t.Run("float64", func(t *testing.T) { testSoftmax[float64](t, 1e-14) })
}

func testSoftmax[T Float](t *testing.T, tol float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][2]int{{0, 5}, {4, 0}, {1, 1}, {3, 7}, {40, 129}, {700, 33}} {
		rows, n := s[0], s[1]
		x, dy := uniform[T](rng, rows*n), uniform[T](rng, rows*n)
		for i := range x {
			x[i] *= 20
		}
		y, dx := dirty[T](rows*n), dirty[T](rows*n)
		ly, ldx := dirty[T](rows*n), dirty[T](rows*n)
		Softmax(y, x, nil, Mask{}, n)
		SoftmaxBackward(dx, y, dy, n)
		LogSoftmax(ly, x, n)
		LogSoftmaxBackward(ldx, ly, dy, n)
		for r := range rows {
			lo, hi := r*n, (r+1)*n
			p, logp := naiveSoftmax(widen(x[lo:hi]))
			near(t, fmt.Sprint("softmax ", s), y[lo:hi], p, tol)
			near(t, fmt.Sprint("log softmax ", s), ly[lo:hi], logp, tol)
			g := widen(dy[lo:hi])
			var sum, inner float64
			for j, v := range g {
				sum += v
				inner += v * p[j]
			}
			want, lwant := make([]float64, n), make([]float64, n)
			for j, v := range g {
				want[j] = p[j] * (v - inner)
				lwant[j] = v - p[j]*sum
			}
			near(t, fmt.Sprint("softmax gradient ", s), dx[lo:hi], want, tol)
			near(t, fmt.Sprint("log softmax gradient ", s), ldx[lo:hi], lwant, 2*tol)
		}
	}
}

func TestSoftmaxSpecialRows(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, tt := range []struct {
		name         string
		x, want, log []float64
	}{
		{"large", []float64{1e4, 1e4, -1e4}, []float64{0.5, 0.5, 0}, []float64{-math.Ln2, -math.Ln2, -2e4 - math.Ln2}},
		{"excluded", []float64{-inf, 3, -inf}, []float64{0, 1, 0}, []float64{-inf, 0, -inf}},
		{"all excluded", []float64{-inf, -inf}, []float64{0, 0}, []float64{-inf, -inf}},
		{"NaN", []float64{0, nan, 5}, []float64{nan, nan, nan}, []float64{nan, nan, nan}},
		{"NaN beside excluded", []float64{-inf, nan}, []float64{nan, nan}, []float64{nan, nan}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			y := make([]float64, len(tt.x))
			Softmax(y, tt.x, nil, Mask{}, len(y))
			near(t, "softmax", y, tt.want, 1e-15)
			LogSoftmax(y, tt.x, len(y))
			near(t, "log softmax", y, tt.log, 1e-15)
		})
	}
}

func TestSoftmaxMask(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	scores := []int{2, 3, 4, 5}
	for _, shape := range [][]int{{2, 3, 4, 5}, {1, 1, 4, 5}, {2, 1, 4, 5}, {2, 1, 1, 5}, {1, 3, 1, 5}, {1, 1, 1, 5}} {
		size := shape[0] * shape[1] * shape[2] * shape[3]
		x, mask := uniform[float64](rng, 120), uniform[float64](rng, size)
		for i := range mask {
			if rng.IntN(3) == 0 {
				mask[i] = math.Inf(-1)
			}
		}
		y := make([]float64, 120)
		Softmax(y, x, mask, NewMask(scores, shape), 5)
		at := func(i, a int) int { return min(i, shape[a]-1) }
		for r := range 24 {
			b, h, n := r/12, r/4%3, r%4
			sum := make([]float64, 5)
			masked := true
			for j := range sum {
				m := mask[((at(b, 0)*shape[1]+at(h, 1))*shape[2]+at(n, 2))*5+j]
				sum[j] = x[r*5+j] + m
				masked = masked && math.IsInf(m, -1)
			}
			want, _ := naiveSoftmax(sum)
			if masked {
				want = make([]float64, 5)
			}
			near(t, fmt.Sprint(shape, r), y[r*5:(r+1)*5], want, 1e-14)
		}
	}
}
