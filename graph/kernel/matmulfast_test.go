package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"tessera/graph/kernel/simd"
)

// atLevels runs a test at every level of instructions this machine has.
func atLevels(t *testing.T, f func(t *testing.T)) {
	for l := simd.None; l <= simd.Best(); l++ {
		t.Run(l.String(), func(t *testing.T) {
			defer simd.Use(simd.Use(l))
			f(t)
		})
	}
}

// Products at every level agree with plain sums, for shapes around the sizes
// of tiles, panels and blocks, on rows that are longer than the matrix.
func TestMatMulLevels(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 2, 3, 5, 6, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 47, 64, 65, 100, 129, 200}
	atLevels(t, func(t *testing.T) {
		for range 400 {
			m, n, k := sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))]
			checkMatMul(t, rng, rng.IntN(2) == 0, rng.IntN(2) == 0, m, n, k)
		}
		for _, s := range [][3]int{{1, 700, 900}, {40, 70, 1700}, {300, 300, 20}, {29, 4200, 9}, {1, 5000, 40}} {
			for i := range 4 {
				checkMatMul(t, rng, i&1 == 1, i&2 == 2, s[0], s[1], s[2])
			}
		}
	})
}

func checkMatMul(t *testing.T, rng *rand.Rand, ta, tb bool, m, n, k int) {
	t.Helper()
	lda, ldb, ldc := storedRow(ta, m, k)+rng.IntN(3), storedRow(tb, k, n)+rng.IntN(3), n+rng.IntN(3)
	offset := rng.IntN(4) // unaligned
	rows := func(transposed bool, r, c, ld int) []float32 {
		if transposed {
			r, c = c, r
		}
		if r == 0 || c == 0 {
			return nil
		}
		return uniform[float32](rng, offset+(r-1)*ld+c)[offset:]
	}
	a, b, c := rows(ta, m, k, lda), rows(tb, k, n, ldb), rows(false, m, n, ldc)
	alpha, beta := []float32{1, 0, -0.5}[rng.IntN(3)], []float32{0, 1, 0.25}[rng.IntN(3)]
	want := slices.Clone(c)
	sum := func(i, j int) float64 {
		var s float64
		for l := range k {
			u, v := i*lda+l, l*ldb+j
			if ta {
				u = l*lda + i
			}
			if tb {
				v = j*ldb + l
			}
			s += float64(a[u]) * float64(b[v])
		}
		return s
	}
	for i := range m {
		for j := range n {
			v := float64(alpha) * sum(i, j)
			if beta != 0 {
				v += float64(beta) * float64(c[i*ldc+j])
			}
			want[i*ldc+j] = float32(v)
		}
	}
	if beta == 0 { // C is not read
		for i := range m {
			for j := range n {
				c[i*ldc+j] = float32(math.NaN())
			}
		}
	}
	serial := slices.Clone(c)
	MatMul(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	near(t, fmt.Sprintf("C(%d, %d), k %d, ta %t, tb %t, α %g, β %g: C", m, n, k, ta, tb, alpha, beta), c, widen(want), 1e-5*math.Sqrt(float64(k+1)))
	matMul(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, serial, ldc)
	if !sameBits(c, serial) {
		t.Fatalf("(%d, %d), k %d, ta %t, tb %t: one goroutine gives another result", m, n, k, ta, tb)
	}
}

func storedRow(t bool, rows, cols int) int {
	if t {
		return rows
	}
	return cols
}

func sameBits(x, y []float32) bool {
	return slices.EqualFunc(x, y, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
}

// A row of a product has the same bits whatever rows are computed with it, and
// a column whatever columns are, packed or not. So decoding token by token can
// equal a pass over all tokens.
func TestMatMulRowsAreIndependent(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		if simd.Active() == simd.None {
			t.Skip("gonum's products do not promise it")
		}
		rng := rand.New(rand.NewPCG(3, 4))
		const m, n, k = 50, 70, 1000
		a, b := uniform[float32](rng, m*k), uniform[float32](rng, k*n)
		all := make([]float32, m*n)
		MatMul(false, false, m, n, k, 1, a, k, b, n, 0, all, n)
		bt := make([]float32, k*n)
		for l := range k {
			for j := range n {
				bt[j*k+l] = b[l*n+j]
			}
		}
		packed := Pack(true, n, k, bt, k)
		for _, rows := range []int{1, 2, 5, 13, 14, 20} {
			for i := 0; i+rows <= m; i += 11 {
				part := make([]float32, rows*n)
				MatMul(false, false, rows, n, k, 1, a[i*k:], k, b, n, 0, part, n)
				if !sameBits(part, all[i*n:(i+rows)*n]) {
					t.Fatalf("rows %d to %d alone differ", i, i+rows)
				}
				clear(part)
				Linear(part, a[i*k:], bt, rows, n, k, packed, Finish[float32]{})
				if !sameBits(part, all[i*n:(i+rows)*n]) {
					t.Fatalf("rows %d to %d with packed B differ", i, i+rows)
				}
			}
		}
		narrow := make([]float32, m*33)
		MatMul(false, false, m, 33, k, 1, a, k, b, n, 0, narrow, 33)
		for i := range m {
			if !sameBits(narrow[i*33:(i+1)*33], all[i*n:i*n+33]) {
				t.Fatalf("the first 33 columns of row %d differ", i)
			}
		}
	})
}

func TestMatMulSameForAnyProcs(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		const m, n, k = 300, 200, 900
		a, b := uniform[float32](rng, m*k), uniform[float32](rng, k*n)
		var first []float32
		for _, procs := range []int{1, 2, 3, 8} {
			before := runtime.GOMAXPROCS(procs)
			c := make([]float32, m*n)
			MatMul(true, true, m, n, k, 1, a, m, b, k, 0, c, n)
			runtime.GOMAXPROCS(before)
			if first == nil {
				first = c
			} else if !sameBits(first, c) {
				t.Fatalf("GOMAXPROCS %d gives another result", procs)
			}
		}
	})
}

// NaN and infinities reach what depends on them and nothing else.
func TestMatMulNotFinite(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), 1e-42} {
			for i := range 4 {
				ta, tb := i&1 == 1, i&2 == 2
				const m, n, k = 20, 37, 50
				a, b := uniform[float32](rng, m*k), make([]float32, k*n)
				b[offset(tb, 7, 3, storedRow(tb, k, n))] = v
				c := make([]float32, m*n)
				MatMul(ta, tb, m, n, k, 1, a, storedRow(ta, m, k), b, storedRow(tb, k, n), 0, c, n)
				for r := range m {
					for j := range n {
						want := float32(0)
						if j == 3 {
							want = v * a[offset(ta, r, 7, storedRow(ta, m, k))]
						}
						if got := c[r*n+j]; got != want && !(got != got && want != want) {
							t.Fatalf("%g in B, ta %t, tb %t: C[%d, %d] = %g, want %g", v, ta, tb, r, j, got, want)
						}
					}
				}
			}
		}
	})
}
