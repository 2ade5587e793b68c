package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Argmax gives the position of the greatest element along the last axis of x
// (…, N), shape (…) or (1): the first of equal ones, or the first NaN. It has
// no gradient.
func Argmax(x *G.Node) (*G.Node, error) {
	return extreme("argmax", x, kernel.Argmax[float32], kernel.Argmax[float64])
}

// Argmin is Argmax for the least element.
func Argmin(x *G.Node) (*G.Node, error) {
	return extreme("argmin", x, kernel.Argmin[float32], kernel.Argmin[float64])
}

func extreme(name string, x *G.Node, f32 func(ids, x []float32, n int), f64 func(ids, x []float64, n int)) (*G.Node, error) {
	s := x.Shape()
	last := s.Dims() - 1
	n := s[last]
	if n < 1 || n > maxExact {
		return nil, errors.Errorf("x has shape %v, want from 1 to %d elements along the last axis", s, maxExact)
	}
	to := s[:last]
	if last == 0 {
		to = tensor.Shape{1}
	}
	return apply(spec{
		name:    name,
		outputs: []tensor.Shape{to},
		forward: compute{rowwise(f32, n), rowwise(f64, n)},
	}, x)
}

func rowwise[T kernel.Float](f func(ids, x []T, n int), n int) func(out, in [][]T) {
	return func(out, in [][]T) { f(out[0], in[0], n) }
}

// Nearest gives for each row of x (N, D) the number of the row of codebook
// (K, D) at the least Euclidean distance, shape (N). It has no gradient.
func Nearest(x, codebook *G.Node) (*G.Node, error) {
	s, c := x.Shape(), codebook.Shape()
	if s.Dims() != 2 || c.Dims() != 2 || s[1] != c[1] {
		return nil, errors.Errorf("x has shape %v and codebook %v, want (N, D) and (K, D)", s, c)
	}
	n, k, d := s[0], c[0], s[1]
	if k < 1 || k > maxExact {
		return nil, errors.Errorf("codebook has %d codes, want from 1 to %d", k, maxExact)
	}
	return apply(spec{
		name:    "nearest",
		outputs: []tensor.Shape{{n}, {kernel.NearestScratch(n, k)}},
		forward: compute{nearest[float32](n, k, d), nearest[float64](n, k, d)},
	}, x, codebook)
}

func nearest[T kernel.Float](n, k, d int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Nearest(out[0], in[0], in[1], out[1], n, k, d) }
}
