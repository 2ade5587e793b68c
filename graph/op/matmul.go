package op

import (
	"fmt"
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// MatMul gives the products a b of shape (…, M, N), for a (…, M, K) and b
// (…, K, N) with equal leading axes, or b (K, N) for all of a. ta says that a
// holds transposes (…, K, M), tb that b holds transposes (…, N, K).
func MatMul(a, b *G.Node, ta, tb bool) (*G.Node, error) {
	s, u := a.Shape(), b.Shape()
	if s.Dims() < 2 || u.Dims() < 2 {
		return nil, errors.Errorf("%v × %v: want matrices", s, u)
	}
	lead := s[:s.Dims()-2]
	m, k := matrix(s, ta)
	inner, n := matrix(u, tb)
	if k != inner {
		return nil, errors.Errorf("%s × %s: inner sizes %d and %d differ", written(s, ta), written(u, tb), k, inner)
	}
	if u.Dims() > 2 && !slices.Equal(lead, u[:u.Dims()-2]) {
		return nil, errors.Errorf("%s × %s: leading axes differ", written(s, ta), written(u, tb))
	}
	p := product{batch: 1, m: m, n: n, k: k, ta: ta, tb: tb, shared: u.Dims() == 2}
	for _, d := range lead {
		p.batch *= d
	}
	if p.shared && !ta { // the rows of all matrices form one
		p.m *= p.batch
		p.batch, p.shared = 1, false
	}
	return apply(spec{
		name:    "matmul",
		outputs: []tensor.Shape{append(lead.Clone(), m, n)},
		flops:   multiplyAdds(p.batch, p.m, p.n, p.k),
		forward: compute{multiply[float32](p), multiply[float64](p)},
		backward: func(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
			return gradient(in, need,
				func() (*G.Node, error) {
					return apply(spec{
						name:    "matmul.a",
						outputs: []tensor.Shape{s},
						forward: compute{multiplyLeft[float32](p), multiplyLeft[float64](p)},
					}, in[1], grad)
				},
				func() (*G.Node, error) {
					return apply(spec{
						name:    "matmul.b",
						outputs: []tensor.Shape{u},
						forward: compute{multiplyRight[float32](p), multiplyRight[float64](p)},
					}, in[0], grad)
				})
		},
	}, a, b)
}

// matrix is the size of the matrices of a shape, which are stored transposed
// if t.
func matrix(s tensor.Shape, t bool) (rows, cols int) {
	rows, cols = s[s.Dims()-2], s[s.Dims()-1]
	if t {
		rows, cols = cols, rows
	}
	return rows, cols
}

func written(s tensor.Shape, t bool) string {
	if t {
		return fmt.Sprintf("%vᵀ", s)
	}
	return fmt.Sprint(s)
}

// product has the sizes of batch products (m, k) × (k, n); shared means that
// all have the same second factor.
type product struct {
	batch, m, n, k int
	ta, tb, shared bool
}

func multiply[T kernel.Float](p product) func(out, in [][]T) {
	lda, ldb := stored(p.ta, p.m, p.k), stored(p.tb, p.k, p.n)
	return func(out, in [][]T) {
		kernel.BatchMatMul(p.batch, p.ta, p.tb, p.m, p.n, p.k, 1, in[0], lda, p.m*p.k, in[1], ldb, p.strideB(), 0, out[0], p.n, p.m*p.n)
	}
}

// multiplyLeft computes the gradient of the first factor.
func multiplyLeft[T kernel.Float](p product) func(out, in [][]T) {
	ldb := stored(p.tb, p.k, p.n)
	return func(out, in [][]T) {
		da, b, dc := out[0], in[0], in[1]
		if p.ta {
			kernel.BatchMatMul(p.batch, p.tb, true, p.k, p.m, p.n, 1, b, ldb, p.strideB(), dc, p.n, p.m*p.n, 0, da, p.m, p.m*p.k)
		} else {
			kernel.BatchMatMul(p.batch, false, !p.tb, p.m, p.k, p.n, 1, dc, p.n, p.m*p.n, b, ldb, p.strideB(), 0, da, p.k, p.m*p.k)
		}
	}
}

// multiplyRight computes the gradient of the second factor, a sum if it is
// shared.
func multiplyRight[T kernel.Float](p product) func(out, in [][]T) {
	lda := stored(p.ta, p.m, p.k)
	return func(out, in [][]T) {
		db, a, dc := out[0], in[0], in[1]
		sum := func(batch int, a, dc []T, beta T) {
			if p.tb {
				kernel.BatchMatMul(batch, true, p.ta, p.n, p.k, p.m, 1, dc, p.n, p.m*p.n, a, lda, p.m*p.k, beta, db, p.k, p.n*p.k)
			} else {
				kernel.BatchMatMul(batch, !p.ta, false, p.k, p.n, p.m, 1, a, lda, p.m*p.k, dc, p.n, p.m*p.n, beta, db, p.n, p.n*p.k)
			}
		}
		if !p.shared {
			sum(p.batch, a, dc, 0)
			return
		}
		clear(db)
		for i := range p.batch {
			sum(1, a[i*p.m*p.k:], dc[i*p.m*p.n:], 1)
		}
	}
}

func (p product) strideB() int {
	if p.shared {
		return 0
	}
	return p.k * p.n
}

// stored is the length of the stored rows of a matrix (rows, cols).
func stored(t bool, rows, cols int) int {
	if t {
		return rows
	}
	return cols
}
