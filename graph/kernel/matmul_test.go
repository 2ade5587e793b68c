package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// uniform fills a slice with numbers in [−1, 1).
func uniform[T Float](rng *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(2*rng.Float64() - 1)
	}
	return x
}

// dirty is a slice of NaN, for results that must be overwritten.
func dirty[T Float](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(math.NaN())
	}
	return x
}

// near reports the first element of got that is farther than tol from want,
// relative to max(1, |want|). NaN and infinities must be equal.
func near[T Float](t *testing.T, name string, got []T, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", name, len(got), len(want))
	}
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(g) && math.IsNaN(w) || g == w {
			continue
		}
		if !(math.Abs(g-w) <= tol*max(1, math.Abs(w))) {
			t.Fatalf("%s[%d] = %v, want %v", name, i, g, w)
		}
	}
}

func widen[T Float](x []T) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// naiveMatMul is MatMul on matrices without padding.
func naiveMatMul(ta, tb bool, m, n, k int, alpha float64, a, b []float64, beta float64, c []float64) []float64 {
	y := make([]float64, m*n)
	for i := range m {
		for j := range n {
			var s float64
			for l := range k {
				u, v := i*k+l, l*n+j
				if ta {
					u = l*m + i
				}
				if tb {
					v = j*k + l
				}
				s += alpha * a[u] * b[v]
			}
			if beta != 0 {
				s += beta * c[i*n+j]
			}
			y[i*n+j] = s
		}
	}
	return y
}

// pad stores a matrix with rows of length ld, filled up with a marker.
func pad[T Float](x []T, rows, width, ld int) []T {
	y := make([]T, rows*ld)
	for i := range y {
		y[i] = 77
	}
	for i := range rows {
		copy(y[i*ld:], x[i*width:(i+1)*width])
	}
	return y
}

func TestMatMul(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testMatMul[float32](t, 1e-5) })
	t.Run("float64", func(t *testing.T) { testMatMul[float64](t, 1e-13) })
}

func testMatMul[T Float](t *testing.T, tol float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 2, 3, 7, 8, 9, 33, 64, 65, 100, 193, 200}
	pick := func() int { return sizes[rng.IntN(len(sizes))] }
	for range 300 {
		m, n, k := pick(), pick(), pick()
		ta, tb := rng.IntN(2) == 0, rng.IntN(2) == 0
		alpha := []T{1, -0.5, 0}[rng.IntN(3)]
		beta := []T{0, 1, 0.25}[rng.IntN(3)]
		name := fmt.Sprintf("m=%d/n=%d/k=%d/ta=%v/tb=%v/alpha=%v/beta=%v", m, n, k, ta, tb, alpha, beta)
		a, b, c := uniform[T](rng, m*k), uniform[T](rng, k*n), uniform[T](rng, m*n)
		want := naiveMatMul(ta, tb, m, n, k, float64(alpha), widen(a), widen(b), float64(beta), widen(c))

		ra, wa, rb, wb := m, k, k, n
		if ta {
			ra, wa = wa, ra
		}
		if tb {
			rb, wb = wb, rb
		}
		lda, ldb, ldc := wa+rng.IntN(3), wb+rng.IntN(3), n+rng.IntN(3)
		pc := pad(c, m, n, ldc)
		if beta == 0 { // what was there must not matter
			for i := range m {
				for j := range n {
					pc[i*ldc+j] = T(math.NaN())
				}
			}
		}
		MatMul(ta, tb, m, n, k, alpha, pad(a, ra, wa, lda), lda, pad(b, rb, wb, ldb), ldb, beta, pc, ldc)
		for i := range m {
			near(t, name, pc[i*ldc:i*ldc+n], want[i*n:(i+1)*n], tol)
			for _, v := range pc[i*ldc+n : (i+1)*ldc] {
				if v != 77 {
					t.Fatalf("%s: padding overwritten", name)
				}
			}
		}
	}
}

func TestMatMulPropagatesNaN(t *testing.T) {
	for _, ta := range []bool{false, true} {
		for _, tb := range []bool{false, true} {
			for _, k := range []int{1, 70} {
				for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
					const m, n = 9, 5
					a, b := make([]float32, m*k), make([]float32, k*n)
					b[k*n-1] = bad // the last column, whether B is transposed or not
					c := make([]float32, m*n)
					MatMul(ta, tb, m, n, k, 1, a, wide(ta, m, k), b, wide(tb, k, n), 0, c, n)
					for i, v := range c {
						if isNaN := v != v; isNaN != (i%n == n-1) {
							t.Errorf("ta=%v tb=%v k=%d, B holds %v: element %d = %v", ta, tb, k, bad, i, v)
						}
					}
					clear(b)
					a[m*k-1] = bad
					MatMul(ta, tb, m, n, k, 1, a, wide(ta, m, k), b, wide(tb, k, n), 0, c, n)
					for i, v := range c {
						if isNaN := v != v; isNaN != (i/n == m-1) {
							t.Errorf("ta=%v tb=%v k=%d, A holds %v: element %d = %v", ta, tb, k, bad, i, v)
						}
					}
				}
			}
		}
	}
}

// wide is the length of the stored rows of a matrix.
func wide(t bool, rows, cols int) int {
	if t {
		return rows
	}
	return cols
}

func TestBatchMatMul(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, batch := range []int{0, 1, 3, 8, 20} {
		for _, s := range [][3]int{{5, 6, 7}, {1, 1, 1}, {65, 9, 33}, {4, 0, 3}, {4, 3, 0}} {
			m, n, k := s[0], s[1], s[2]
			a, b, c := uniform[float32](rng, batch*m*k), uniform[float32](rng, k*n), uniform[float32](rng, batch*m*n)
			var want []float64
			for i := range batch {
				want = append(want, naiveMatMul(false, true, m, n, k, 2, widen(a[i*m*k:]), widen(b), 1, widen(c[i*m*n:]))...)
			}
			BatchMatMul(batch, false, true, m, n, k, 2, a, k, m*k, b, k, 0, 1, c, n, m*n)
			near(t, fmt.Sprint(batch, s), c, want, 1e-5)
		}
	}
}

func TestMatMulSameBytesSerially(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const m, n, k = 70, 201, 130
	a, b := uniform[float32](rng, m*k), uniform[float32](rng, k*n)
	x, y := make([]float32, m*n), make([]float32, m*n)
	MatMul(true, false, m, n, k, 1, a, m, b, n, 0, x, n)
	matMul(true, false, m, n, k, 1, a, m, b, n, 0, y, n)
	if !slices.Equal(x, y) {
		t.Error("parallel and serial products differ")
	}
}
