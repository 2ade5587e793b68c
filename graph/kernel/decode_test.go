package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCachedAttention(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testCachedAttention[float32](t, 2e-6) })
	t.Run("float64", func(t *testing.T) { testCachedAttention[float64](t, 1e-13) })
}

// testCachedAttention decodes a text in passes of several sizes and compares
// with attention to all of it at once, under the mask that says who sees whom.
func testCachedAttention[T Float](t *testing.T, tol float64) {
	for _, tt := range []struct {
		heads  Heads // but for N; M is the room
		prefix int
		passes []int
		masked []int // cached tokens that the first example excludes
	}{
		{Heads{B: 1, H: 1, M: 1, K: 1, V: 1}, 0, []int{1}, nil},
		{Heads{B: 2, H: 3, M: 9, K: 5, V: 3}, 0, []int{1, 1, 1, 1, 1}, nil},
		{Heads{B: 2, H: 3, M: 9, K: 5, V: 3}, 0, []int{4, 1, 3, 1}, []int{0, 1, 5}},
		{Heads{B: 1, H: 2, M: 200, K: 16, V: 17}, 0, []int{130, 1, 65, 1}, []int{0, 129, 131}},
		{Heads{B: 3, H: 4, M: 80, K: 64, V: 64}, 7, []int{7, 1, 1, 66, 1}, []int{2}},
		{Heads{B: 1, H: 2, M: 12, K: 8, V: 8}, 5, []int{9, 1}, nil},
		{Heads{B: 0, H: 2, M: 12, K: 8, V: 8}, 0, []int{2}, nil},
	} {
		h := tt.heads
		h.Scale = 1 / math.Sqrt(float64(h.K))
		total := 0
		for _, n := range tt.passes {
			total += n
		}
		t.Run(fmt.Sprintf("%v/%v/prefix=%d", h, tt.passes, tt.prefix), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			q, k := randoms[float64](rng, h.B*total*h.H*h.K), randoms[float64](rng, h.B*total*h.H*h.K)
			v := randoms[float64](rng, h.B*total*h.H*h.V)
			// Rows that nobody has written yet must not be read.
			keys, values := filled[T](h.B*h.H*h.M*h.K, math.NaN()), filled[T](h.B*h.H*h.M*h.V, math.NaN())
			mask := filled[T](h.B*h.M, 0)
			for _, m := range tt.masked {
				mask[m] = T(math.Inf(-1))
			}
			past := 0
			for _, n := range tt.passes {
				c := h
				c.N = n
				a := NewCachedAttention[T](CachedHeads{Heads: c, Prefix: tt.prefix})
				y := filled[T](h.B*n*h.H*h.V, math.NaN())
				a.Pass(CachedPass[T]{
					Y: y, Scores: filled[T](h.B*h.H*CachedHeads{Heads: c}.QueryRows()*h.M, math.NaN()),
					Q: rowsOf[T](q, h.B, total, past, n, h.H*h.K), K: rowsOf[T](k, h.B, total, past, n, h.H*h.K), V: rowsOf[T](v, h.B, total, past, n, h.H*h.V),
					Keys: keys, Values: values, Past: []T{T(past)}, Mask: mask,
				})
				want := h
				want.N, want.M = n, past+n
				sees := make([]float64, h.B*h.H*n*want.M)
				for i := range sees {
					b, row, m := i/(h.H*n*want.M), i/want.M%n, i%want.M
					if m > past+row && m >= tt.prefix {
						sees[i] = math.Inf(-1)
					}
					sees[i] += float64(mask[b*h.M+m])
				}
				exact, _ := naiveAttention(
					rowsOf[float64](q, h.B, total, past, n, h.H*h.K), rowsOf[float64](k, h.B, total, 0, past+n, h.H*h.K),
					rowsOf[float64](v, h.B, total, 0, past+n, h.H*h.V), sees, want)
				for i, w := range exact {
					if !(math.Abs(float64(y[i])-w) <= tol*max(1, math.Abs(w))) {
						t.Fatalf("after %d tokens, pass of %d: element %d is %g, want %g", past, n, i, y[i], w)
					}
				}
				past += n
			}
		})
	}
}

// Examples with pasts of their own have the bytes of passes one by one.
func TestCachedAttentionOfPasts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 3, 70} {
		c := CachedHeads{Heads: Heads{B: 4, H: 2, N: n, M: 90, K: 5, V: 7, Scale: 0.4}}
		past := []float32{0, 20, 7, float32(c.M - n)}
		floats := func(width int) []float32 { return randoms[float32](rng, c.B*width) }
		p := CachedPass[float32]{
			Y: floats(n * c.H * c.V), Scores: floats(c.H * c.QueryRows() * c.M), Q: floats(n * c.H * c.K), K: floats(n * c.H * c.K), V: floats(n * c.H * c.V),
			Keys: floats(c.H * c.K * c.M), Values: floats(c.H * c.M * c.V), Past: past,
		}
		one := c
		one.B = 1
		var want, keys, values []float32
		for b := range c.B {
			row := func(x []float32) []float32 { return slices.Clone(x[b*len(x)/c.B : (b+1)*len(x)/c.B]) }
			q := CachedPass[float32]{
				Y: row(p.Y), Scores: row(p.Scores), Q: row(p.Q), K: row(p.K), V: row(p.V), Keys: row(p.Keys), Values: row(p.Values), Past: past[b : b+1],
			}
			NewCachedAttention[float32](one).Pass(q)
			want, keys, values = append(want, q.Y...), append(keys, q.Keys...), append(values, q.Values...)
		}
		NewCachedAttention[float32](c).Pass(p)
		if !slices.Equal(p.Y, want) || !slices.Equal(p.Keys, keys) || !slices.Equal(p.Values, values) {
			t.Errorf("%d tokens: a pass of several pasts differs from passes one by one", n)
		}
	}
}

// rowsOf takes n rows from row first on of every matrix of x (batch, total, width).
func rowsOf[T Float](x []float64, batch, total, first, n, width int) []T {
	var y []T
	for b := range batch {
		for _, v := range x[(b*total+first)*width : (b*total+first+n)*width] {
			y = append(y, T(v))
		}
	}
	return y
}

// filled returns n equal numbers.
func filled[T Float](n int, v float64) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(v)
	}
	return x
}

func TestCachedAttentionRejects(t *testing.T) {
	a := NewCachedAttention[float32](CachedHeads{Heads: Heads{B: 1, H: 1, N: 2, M: 4, K: 1, V: 1, Scale: 1}})
	for _, past := range []float64{-1, 0.5, 3, 1e30, math.NaN(), math.Inf(1)} {
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "do not fit a cache of 4") {
					t.Errorf("%g tokens: %v, want an error", past, err)
				}
			}()
			a.Pass(CachedPass[float32]{
				Y: make([]float32, 2), Scores: make([]float32, 8), Q: make([]float32, 2), K: make([]float32, 2), V: make([]float32, 2),
				Keys: make([]float32, 4), Values: make([]float32, 4), Past: []float32{float32(past)},
			})
		}()
	}
}

func TestCachedAttentionAllocatesNothing(t *testing.T) {
	c := CachedHeads{Heads: Heads{B: 1, H: 12, N: 1, M: 400, K: 64, V: 64, Scale: 1}}
	a := NewCachedAttention[float32](c)
	p := CachedPass[float32]{
		Y: make([]float32, 768), Scores: make([]float32, 12*400), Q: make([]float32, 768), K: make([]float32, 768), V: make([]float32, 768),
		Keys: make([]float32, 12*400*64), Values: make([]float32, 12*400*64), Past: []float32{300},
	}
	if n := testing.AllocsPerRun(50, func() { a.Pass(p) }); n >= 1 {
		t.Errorf("%g allocations a pass", n)
	}
}

// BenchmarkCachedAttention is a step of one token after past ones.
func BenchmarkCachedAttention(b *testing.B) {
	for _, past := range []int{63, 319, 1023} {
		b.Run(fmt.Sprintf("heads=12/width=64/past=%d", past), func(b *testing.B) {
			c := CachedHeads{Heads: Heads{B: 1, H: 12, N: 1, M: 1024, K: 64, V: 64, Scale: 0.125}}
			a := NewCachedAttention[float32](c)
			p := CachedPass[float32]{
				Y: make([]float32, 768), Scores: make([]float32, 12*c.M), Q: make([]float32, 768), K: make([]float32, 768), V: make([]float32, 768),
				Keys: make([]float32, 768*c.M), Values: make([]float32, 768*c.M), Past: []float32{float32(past)},
			}
			b.ReportAllocs()
			for b.Loop() {
				a.Pass(p)
			}
		})
	}
}
