package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// naiveAttention gives the result and the weights (B, H, N, M) of attention
// with a mask of the weights' shape.
func naiveAttention(q, k, v, mask []float64, c Heads) (y, weights []float64) {
	y = make([]float64, c.B*c.N*c.H*c.V)
	for b := range c.B {
		for h := range c.H {
			for n := range c.N {
				s := make([]float64, c.M)
				masked := true
				for m := range c.M {
					for j := range c.K {
						s[m] += q[((b*c.N+n)*c.H+h)*c.K+j] * k[((b*c.M+m)*c.H+h)*c.K+j] * c.Scale
					}
					s[m] += mask[((b*c.H+h)*c.N+n)*c.M+m]
					masked = masked && math.IsInf(s[m], -1)
				}
				p, _ := naiveSoftmax(s)
				if masked {
					p = make([]float64, c.M)
				}
				weights = append(weights, p...)
				for m := range c.M {
					for j := range c.V {
						y[((b*c.N+n)*c.H+h)*c.V+j] += p[m] * v[((b*c.M+m)*c.H+h)*c.V+j]
					}
				}
			}
		}
	}
	return y, weights
}

func TestAttention(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testAttention[float32](t, 1e-6) })
	t.Run("float64", func(t *testing.T) { testAttention[float64](t, 1e-13) })
}

func testAttention[T Float](t *testing.T, tol float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []Heads{
		{B: 1, H: 1, N: 1, M: 1, K: 1, V: 1},
		{B: 2, H: 3, N: 5, M: 7, K: 9, V: 4},
		{B: 1, H: 2, N: 1, M: 70, K: 16, V: 16},
		{B: 3, H: 4, N: 65, M: 65, K: 8, V: 8},
		{B: 1, H: 1, N: 130, M: 3, K: 5, V: 11},
		{B: 0, H: 2, N: 3, M: 3, K: 2, V: 2},
		{B: 2, H: 2, N: 0, M: 3, K: 2, V: 2},
		{B: 2, H: 2, N: 3, M: 0, K: 2, V: 2},
	} {
		c.Scale = 0.7
		q, k, v := uniform[T](rng, c.B*c.N*c.H*c.K), uniform[T](rng, c.B*c.M*c.H*c.K), uniform[T](rng, c.B*c.M*c.H*c.V)
		size := c.B * c.H * c.N * c.M
		mask := make([]T, size)
		for i := range mask {
			if rng.IntN(3) == 0 || i < c.M { // the first row has nothing left
				mask[i] = T(math.Inf(-1))
			}
		}
		at := NewMask([]int{c.B, c.H, c.N, c.M}, []int{c.B, c.H, c.N, c.M})
		y, w := dirty[T](c.B*c.N*c.H*c.V), dirty[T](size)
		Attention(y, w, nil, q, k, v, mask, at, c, 0)
		want, weights := naiveAttention(widen(q), widen(k), widen(v), widen(mask), c)
		near(t, fmt.Sprintf("y of %+v", c), y, want, tol)
		near(t, fmt.Sprintf("weights of %+v", c), w, weights, tol)

		again := dirty[T](size)
		AttentionWeights(again, q, k, mask, at, c)
		if !slices.Equal(w, again) {
			t.Errorf("AttentionWeights differ for %+v", c)
		}
		// The gradients are checked against differences with the operation;
		// here, that parts of them and empty ones can be computed.
		dq, dk, dv, scores := dirty[T](len(q)), dirty[T](len(k)), dirty[T](len(v)), dirty[T](size)
		AttentionBackward(dq, dk, dv, scores, q, k, v, w, nil, y, c)
		for i, d := range append(append(dq[:len(dq):len(dq)], dk...), dv...) {
			if d != d {
				t.Fatalf("%+v: gradient %d is NaN", c, i)
			}
		}
		for i, ds := range [3][3][]T{{dirty[T](len(q)), nil, nil}, {nil, dirty[T](len(k)), nil}, {nil, nil, dirty[T](len(v))}} {
			AttentionBackward(ds[0], ds[1], ds[2], scores, q, k, v, w, nil, y, c)
			if !slices.Equal(ds[i], [3][]T{dq, dk, dv}[i]) {
				t.Errorf("%+v: gradient %d alone differs", c, i)
			}
		}
	}
}

func TestAttentionDropout(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	c := Heads{B: 2, H: 2, N: 70, M: 9, K: 4, V: 1, Scale: 1, Dropout: 0.4}
	q, k := uniform[float64](rng, 2*70*8), uniform[float64](rng, 2*9*8)
	v := make([]float64, 2*9*2)
	for i := range v {
		v[i] = 1
	}
	y, w, left := make([]float64, 2*70*2), make([]float64, 2*2*70*9), make([]float64, 2*2*70*9)
	Attention(y, w, left, q, k, v, nil, Mask{}, c, NewKey(5))
	want := make([]float64, len(w))
	Dropout(want, w, c.Dropout, NewKey(5))
	near(t, "weights left", left, want, 0)
	for r := range 2 * 2 * 70 { // with values of 1, y is their sum
		b, h, n := r/140, r/70%2, r%70
		near(t, "y", y[(b*70+n)*2+h:][:1], []float64{sumRun(left[r*9 : (r+1)*9])}, 1e-14)
	}
}

func TestAttentionNaN(t *testing.T) {
	c := Heads{B: 1, H: 1, N: 2, M: 10, K: 1, V: 1, Scale: 1}
	q, k, v := []float32{1, float32(math.NaN())}, make([]float32, 10), make([]float32, 10)
	y, w := make([]float32, 2), make([]float32, 20)
	Attention(y, w, nil, q, k, v, nil, Mask{}, c, 0)
	if y[0] != 0 || y[1] == y[1] {
		t.Errorf("y = %v, want [0 NaN]", y)
	}
}
