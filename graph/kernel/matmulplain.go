package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

const (
	// A tile of C is computed by products of this depth, so that the part of B
	// it reads stays in cache. Gonum starts goroutines of its own for more
	// than three blocks of 64 × 64.
	tileRows  = 64
	tileCols  = 192
	tileDepth = 192
	// fewTiles is how many tiles C should have at least; it gets narrower ones
	// otherwise.
	fewTiles = 16
	minRows  = 8
	// Gonum's dot products start at a boundary of 16 bytes. Only slices of
	// fewer elements than shallow may start elsewhere.
	shallow = 8
)

// product is a matrix product divided into tiles of C.
type product[T Float] struct {
	ta, tb        bool
	m, n, k       int
	alpha, beta   T
	a, b, c       []T
	lda, ldb, ldc int
	rows, across  int  // rows of a tile, tiles side by side
	plain         bool // whether to use plain loops
}

func newProduct[T Float](ta, tb bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) *product[T] {
	p := &product[T]{ta: ta, tb: tb, m: m, n: n, k: k, alpha: alpha, beta: beta, a: a, b: b, c: c, lda: lda, ldb: ldb, ldc: ldc}
	p.across = (n + tileCols - 1) / tileCols
	p.rows = tileRows
	if ta { // gonum goes over the whole tile for every element of the depth
		p.rows /= 4
	}
	for p.rows > minRows && p.tiles() < fewTiles {
		p.rows /= 2
	}
	// Except for A Bᵀ, gonum skips zeros of A, which hides NaN and infinities
	// of B.
	p.plain = k < shallow || (ta || !tb) && !p.finiteB()
	return p
}

func (p *product[T]) tiles() int { return (p.m + p.rows - 1) / p.rows * p.across }

// finiteB tells whether all of B is finite.
func (p *product[T]) finiteB() bool {
	rows, width := p.k, p.n
	if p.tb {
		rows, width = width, rows
	}
	if p.m == 0 || width == 0 {
		return true
	}
	for i := range rows {
		if !finite(p.b[i*p.ldb : i*p.ldb+width]) {
			return false
		}
	}
	return true
}

func finite[T Float](x []T) bool {
	var s0, s1, s2, s3 T // 0 or NaN
	for len(x) >= 4 {
		s0 += x[0] - x[0]
		s1 += x[1] - x[1]
		s2 += x[2] - x[2]
		s3 += x[3] - x[3]
		x = x[4:]
	}
	for _, v := range x {
		s0 += v - v
	}
	return s0+s1+s2+s3 == 0
}

// run computes the tiles lo, …, hi−1.
func (p *product[T]) run(lo, hi int) {
	for t := lo; t < hi; t++ {
		i, j := t/p.across*p.rows, t%p.across*tileCols
		m, n := min(p.rows, p.m-i), min(tileCols, p.n-j)
		c := p.c[i*p.ldc+j:]
		scaleRows(m, n, p.beta, c, p.ldc)
		if p.alpha == 0 {
			continue
		}
		for l := 0; l < p.k; l += tileDepth {
			k := min(tileDepth, p.k-l)
			a, b := p.a[offset(p.ta, i, l, p.lda):], p.b[offset(p.tb, l, j, p.ldb):]
			if p.plain {
				p.addPlain(m, n, k, a, b, c)
			} else {
				p.add(m, n, k, a, b, c)
			}
		}
	}
}

// offset is where element (i, j) of op(A) is stored.
func offset(t bool, i, j, ld int) int {
	if t {
		i, j = j, i
	}
	return i*ld + j
}

// scaleRows multiplies C by β. 0 × NaN would be NaN.
func scaleRows[T Float](m, n int, beta T, c []T, ldc int) {
	if beta == 1 || n == 0 {
		return
	}
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if beta == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] *= beta
		}
	}
}

// add adds α op(A) op(B) to a tile.
func (p *product[T]) add(m, n, k int, a, b, c []T) {
	switch a := any(a).(type) {
	case []float32:
		gonum.Implementation{}.Sgemm(transpose(p.ta), transpose(p.tb), m, n, k, float32(p.alpha), a, p.lda, any(b).([]float32), p.ldb, 1, any(c).([]float32), p.ldc)
	case []float64:
		gonum.Implementation{}.Dgemm(transpose(p.ta), transpose(p.tb), m, n, k, float64(p.alpha), a, p.lda, any(b).([]float64), p.ldb, 1, any(c).([]float64), p.ldc)
	}
}

func transpose(t bool) blas.Transpose {
	if t {
		return blas.Trans
	}
	return blas.NoTrans
}

// addPlain is add by plain loops.
func (p *product[T]) addPlain(m, n, k int, a, b, c []T) {
	for i := range m {
		row := c[i*p.ldc : i*p.ldc+n]
		for l := range k {
			v := p.alpha * a[offset(p.ta, i, l, p.lda)]
			if p.tb {
				for j := range row {
					row[j] += v * b[j*p.ldb+l]
				}
				continue
			}
			for j, w := range b[l*p.ldb : l*p.ldb+n] {
				row[j] += v * w
			}
		}
	}
}
