package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// CodebookUpdate says how a codebook of moving averages is updated.
type CodebookUpdate = kernel.CodebookUpdate

// UpdateCodebook gives the new codes (K, D), counts (K) and sums (K, D) of a
// codebook of moving averages, from vectors x (N, D), the codes ids (N) they
// were assigned to, and the old counts and sums; see kernel.Follow. It has no
// gradient.
func UpdateCodebook(x, ids, counts, sums *G.Node, u CodebookUpdate, noise *Noise, stream uint64) (codes, newCounts, newSums *G.Node, err error) {
	s, c := x.Shape(), sums.Shape()
	if s.Dims() != 2 || c.Dims() != 2 || s[1] != c[1] || c[0] < 1 {
		return nil, nil, nil, errors.Errorf("x has shape %v and sums %v, want (N, D) and (K, D)", s, c)
	}
	n, k, d := s[0], c[0], s[1]
	if n >= maxExact || k > maxExact {
		return nil, nil, nil, errors.Errorf("%d vectors for %d codes, want at most %d", n, k, maxExact)
	}
	if !ids.Shape().Eq(tensor.Shape{n}) || !counts.Shape().Eq(tensor.Shape{k}) {
		return nil, nil, nil, errors.Errorf("ids have shape %v and counts %v, want (%d) and (%d)", ids.Shape(), counts.Shape(), n, k)
	}
	if !(u.Decay >= 0 && u.Decay < 1) || !(u.Eps > 0) || !(u.Dead >= 0) || noise == nil {
		return nil, nil, nil, errors.Errorf("decay %g, eps %g, dead share %g: want 0 ≤ decay < 1, eps > 0, share ≥ 0, and noise", u.Decay, u.Eps, u.Dead)
	}
	codes, err = apply(spec{
		name:    "update_codebook",
		outputs: []tensor.Shape{c, {k}, c, scratch(k + n)},
		forward: compute{follow[float32](n, k, d, u, noise, stream), follow[float64](n, k, d, u, noise, stream)},
	}, x, ids, counts, sums)
	if err != nil {
		return nil, nil, nil, err
	}
	if newCounts, err = tap(codes, 1); err != nil {
		return nil, nil, nil, err
	}
	newSums, err = tap(codes, 2)
	return codes, newCounts, newSums, err
}

func follow[T kernel.Float](n, k, d int, u CodebookUpdate, noise *Noise, stream uint64) func(out, in [][]T) {
	return func(out, in [][]T) {
		kernel.Follow(out[0], out[1], out[2], in[0], in[1], in[2], in[3], out[3], n, k, d, u, noise.key(stream))
	}
}

// Perplexity is e to the entropy of the codes ids (…), of which there are k,
// shape (1). It has no gradient.
func Perplexity(ids *G.Node, k int) (*G.Node, error) {
	if k < 1 || k > maxExact {
		return nil, errors.Errorf("%d codes, want from 1 to %d", k, maxExact)
	}
	return apply(spec{
		name:    "perplexity",
		outputs: []tensor.Shape{{1}, {k}},
		forward: compute{perplexity[float32](k), perplexity[float64](k)},
	}, ids)
}

func perplexity[T kernel.Float](k int) func(out, in [][]T) {
	return func(out, in [][]T) { out[0][0] = T(kernel.Perplexity(in[0], out[1], k)) }
}

// AddGumbel adds noise from the Gumbel distribution to every element of x
// (arXiv:1611.01144). Operations of one noise should differ in stream.
func AddGumbel(x *G.Node, noise *Noise, stream uint64) (*G.Node, error) {
	if noise == nil {
		return nil, errors.New("there is no noise")
	}
	return unary("add_gumbel", x, compute{gumbel[float32](noise, stream), gumbel[float64](noise, stream)},
		func(_, _, grad *G.Node) (*G.Node, error) { return grad, nil })
}

func gumbel[T kernel.Float](noise *Noise, stream uint64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.AddGumbel(out[0], in[0], noise.key(stream)) }
}

// Round gives the nearest whole numbers, halves to even. It has no gradient;
// see StraightThrough.
func Round(x *G.Node) (*G.Node, error) {
	return elementwise("round", compute{each(kernel.Round[float32]), each(kernel.Round[float64])}, x)
}
