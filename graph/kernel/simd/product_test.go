//go:build amd64 && !noasm

package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// fill puts numbers in [−1, 1) into x.
func fill(rng *rand.Rand, x []float32) []float32 {
	for i := range x {
		x[i] = 2*rng.Float32() - 1
	}
	return x
}

// Products on memory that is guarded in front and behind, so that a kernel that
// reads or writes one number too many ends the test.
func TestProductsStayInside(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	atLevels(t, func(t *testing.T) {
		for range 300 {
			m, n, k := 1+rng.IntN(40), 1+rng.IntN(150), 1+rng.IntN(40)
			ta, tb, acc := rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
			test := productTest{m: m, n: n, k: k, ta: ta, tb: tb, acc: acc}
			af, ab := guarded[float32](t, m*k)
			bf, bb := guarded[float32](t, n*k)
			cf, cb := guarded[float32](t, m*n)
			nr := PanelWidth()
			pf, pb := guarded[float32](t, (n+nr-1)/nr*nr*k)
			sf, sb := guarded[float32](t, BlockScratch(m, k))
			test.run(t, rng, af, bf, cf, pf, sf)
			test.run(t, rng, ab, bb, cb, pb, sb)
		}
	})
}

type productTest struct {
	m, n, k     int
	ta, tb, acc bool
}

func (p productTest) run(t *testing.T, rng *rand.Rand, a, b, c, panels, scratch []float32) {
	t.Helper()
	m, n, k := p.m, p.n, p.k
	fill(rng, a)
	fill(rng, b)
	old := slices.Clone(fill(rng, c))
	lda, ldb := k, n
	if p.ta {
		lda = m
	}
	if p.tb {
		ldb = k
	}
	for i := range panels {
		panels[i] = float32(math.NaN())
	}
	want := func(i, j int) float64 {
		var s float64
		for l := range k {
			u, v := i*lda+l, l*ldb+j
			if p.ta {
				u = l*lda + i
			}
			if p.tb {
				v = j*ldb + l
			}
			s += float64(a[u]) * float64(b[v])
		}
		s *= 0.5
		if p.acc {
			s += float64(old[i*n+j])
		}
		return s
	}
	check := func(name string) []float32 {
		t.Helper()
		for i := range m {
			for j := range n {
				if got, w := float64(c[i*n+j]), want(i, j); !(math.Abs(got-w) <= 1e-5) {
					t.Fatalf("%s %+v: C[%d, %d] = %g, want %g", name, p, i, j, got, w)
				}
			}
		}
		return slices.Clone(c)
	}
	nr := PanelWidth()
	for j := 0; j < n; j += nr {
		at := j
		if p.tb {
			at = j * ldb
		}
		PackPanel(panels[j*k:(j+nr)*k], p.tb, b[at:], ldb, k, min(nr, n-j))
	}
	MulPanels(p.ta, m, n, k, 0.5, a, lda, panels, p.acc, c, n, scratch)
	tiles := check("MulPanels")
	if !p.tb && Raw(m) {
		copy(c, old)
		rsa, csa := lda, 1
		if p.ta {
			rsa, csa = 1, lda
		}
		MulRaw(m, n, k, 0.5, a, rsa, csa, b, ldb, p.acc, c, n)
		if !slices.Equal(check("MulRaw"), tiles) {
			t.Fatalf("%+v: MulRaw and MulPanels differ", p)
		}
	}
	if m == 1 && p.tb && !p.acc {
		Dots(c, a, b, ldb)
		for j := range n {
			if w := 2 * want(0, j); !(math.Abs(float64(c[j])-w) <= 1e-5) {
				t.Fatalf("Dots %+v: y[%d] = %g, want %g", p, j, c[j], w)
			}
		}
	}
}

func TestProductsOfNothing(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		for _, s := range [][3]int{{0, 3, 3}, {3, 0, 3}, {3, 3, 0}} {
			m, n, k := s[0], s[1], s[2]
			c := make([]float32, m*n)
			for i := range c {
				c[i] = 1
			}
			MulPanels(false, m, n, k, 1, make([]float32, m*k), k, make([]float32, 32*k), false, c, n, make([]float32, BlockScratch(m, k)))
			for i, v := range c {
				if v != 0 {
					t.Errorf("%v: C[%d] = %g, want 0", s, i, v)
				}
			}
		}
		y := []float32{1, 2}
		Dots(y, nil, nil, 0)
		if y[0] != 0 || y[1] != 0 {
			t.Errorf("inner products of nothing are %v", y)
		}
	})
}

// Matrices that are too small are noticed before the assembly reads them.
func TestShortMatricesPanic(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		nr := PanelWidth()
		for name, f := range map[string]func(){
			"PackPanel of B": func() { PackPanel(make([]float32, 8*nr), false, make([]float32, 8*nr-1), nr, 8, nr) },
			"PackPanel":      func() { PackPanel(make([]float32, 8*nr-1), false, make([]float32, 8*nr), nr, 8, nr) },
			"MulPanels of A": func() {
				MulPanels(false, 4, nr, 8, 1, make([]float32, 31), 8, make([]float32, 8*nr), false, make([]float32, 4*nr), nr, make([]float32, BlockScratch(4, 8)))
			},
			"MulPanels of B": func() {
				MulPanels(false, 4, nr, 8, 1, make([]float32, 32), 8, make([]float32, 8*nr-1), false, make([]float32, 4*nr), nr, make([]float32, BlockScratch(4, 8)))
			},
			"MulPanels": func() {
				MulPanels(false, 4, nr, 8, 1, make([]float32, 32), 8, make([]float32, 8*nr), false, make([]float32, 4*nr-1), nr, make([]float32, BlockScratch(4, 8)))
			},
			"MulPanels' scratch": func() {
				MulPanels(true, 4, nr, 8, 1, make([]float32, 8*256), 256, make([]float32, 8*nr), false, make([]float32, 4*nr), nr, make([]float32, 31))
			},
			"MulRaw": func() {
				MulRaw(1, 5, 3, 1, make([]float32, 3), 3, 1, make([]float32, 14), 5, false, make([]float32, 5), 5)
			},
			"Dots": func() { Dots(make([]float32, 2), make([]float32, 3), make([]float32, 5), 3) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s of too few numbers did not panic", name)
					}
				}()
				f()
			}()
		}
	})
}

// FuzzProduct holds every level against plain sums.
func FuzzProduct(f *testing.F) {
	f.Add(uint8(3), uint8(40), uint8(9), uint8(0), uint64(1))
	f.Add(uint8(14), uint8(32), uint8(70), uint8(7), uint64(2))
	f.Fuzz(func(t *testing.T, m, n, k, flags uint8, seed uint64) {
		p := productTest{m: int(m) + 1, n: int(n) + 1, k: int(k) + 1, ta: flags&1 != 0, tb: flags&2 != 0, acc: flags&4 != 0}
		before := Active()
		defer Use(before)
		for _, l := range []Level{AVX2, AVX512} {
			if l > Best() {
				continue
			}
			Use(l)
			nr := PanelWidth()
			size := func(n int) []float32 { return make([]float32, n) }
			t.Run(fmt.Sprint(l), func(t *testing.T) {
				p.run(t, rand.New(rand.NewPCG(seed, 0)), size(p.m*p.k), size(p.n*p.k), size(p.m*p.n),
					size((p.n+nr-1)/nr*nr*p.k), size(BlockScratch(p.m, p.k)))
			})
		}
	})
}
