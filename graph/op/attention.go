package op

import (
	"math"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// AttentionConfig holds the attributes of Attention.
type AttentionConfig struct {
	Heads   int
	Scale   float64 // of the scores; 0 means 1/√K
	Dropout float64 // probability of zeroing a weight, 0 ≤ p < 1
	Noise   *Noise  // of dropout
	Stream  uint64  // of the noise
}

// Attention gives softmax(scale · q kᵀ + mask) v for every head, (B, N, H·V),
// from queries (B, N, H·K), keys (B, M, H·K) and values (B, M, H·V)
// (arXiv:1706.03762). Head h is columns h·K, …, (h+1)·K − 1, as in PyTorch.
//
// mask, which may be nil, is added to the scores: 0 keeps, −Inf excludes. Its
// shape is (N, M), (B, N, M) or (B, H, N, M), where B, H and N may each be 1 to
// be repeated. A query with nothing left gives 0.
func Attention(q, k, v, mask *G.Node, c AttentionConfig) (*G.Node, error) {
	h, err := c.heads(q, k, v)
	if err != nil {
		return nil, err
	}
	if err := checkDropout(c.Dropout, c.Noise); err != nil {
		return nil, err
	}
	aligned, err := attentionMask(mask, h)
	if err != nil {
		return nil, err
	}
	scores := scoresOf(h)
	outputs := []tensor.Shape{{h.B, h.N, h.H * h.V}, scores} // and the weights
	if c.Dropout > 0 {
		outputs = append(outputs, scores) // those that dropout leaves
	}
	return apply(spec{
		name:     "attention",
		outputs:  outputs,
		optional: true,
		flops:    multiplyAdds(h.B, h.H, h.N, h.M, h.K+h.V),
		forward:  compute{attention[float32](h, aligned, c), attention[float64](h, aligned, c)},
		backward: func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
			return attentionBackward(h, aligned, in, out, grad, need)
		},
	}, args(q, k, v, mask)...)
}

// AttentionWeights gives the weights (B, H, N, M) with which Attention of the
// same arguments averages values, before dropout. It has no gradient.
func AttentionWeights(q, k, mask *G.Node, c AttentionConfig) (*G.Node, error) {
	h, err := c.heads(q, k, k)
	if err != nil {
		return nil, err
	}
	aligned, err := attentionMask(mask, h)
	if err != nil {
		return nil, err
	}
	return apply(spec{
		name:    "attention_weights",
		outputs: []tensor.Shape{scoresOf(h)},
		forward: compute{attentionWeights[float32](h, aligned), attentionWeights[float64](h, aligned)},
	}, args(q, k, mask)...)
}

// heads checks the shapes and takes the sizes from them.
func (c AttentionConfig) heads(q, k, v *G.Node) (kernel.Heads, error) {
	s, t, u := q.Shape(), k.Shape(), v.Shape()
	var h kernel.Heads
	if s.Dims() != 3 || t.Dims() != 3 || u.Dims() != 3 {
		return h, errors.Errorf("queries %v, keys %v, values %v: want three axes each", s, t, u)
	}
	if s[0] != t[0] || s[2] != t[2] {
		return h, errors.Errorf("queries %v and keys %v differ in batch or width", s, t)
	}
	if t[0] != u[0] || t[1] != u[1] {
		return h, errors.Errorf("keys %v and values %v differ in batch or length", t, u)
	}
	if c.Heads < 1 || s[2]%c.Heads != 0 || u[2]%c.Heads != 0 || s[2] == 0 {
		return h, errors.Errorf("%d heads do not divide widths %d and %d", c.Heads, s[2], u[2])
	}
	h = kernel.Heads{B: s[0], H: c.Heads, N: s[1], M: t[1], K: s[2] / c.Heads, V: u[2] / c.Heads, Scale: c.Scale, Dropout: c.Dropout}
	if h.Scale == 0 {
		h.Scale = 1 / math.Sqrt(float64(h.K))
	}
	return h, nil
}

func scoresOf(h kernel.Heads) tensor.Shape { return tensor.Shape{h.B, h.H, h.N, h.M} }

// attentionMask gives the shape of a mask four axes; nil if there is none.
func attentionMask(mask *G.Node, h kernel.Heads) (tensor.Shape, error) {
	if mask == nil {
		return nil, nil
	}
	s := mask.Shape()
	if s.Dims() == 3 {
		s = tensor.Shape{s[0], 1, s[1], s[2]}
	}
	if s.Dims() < 2 {
		return nil, errors.Errorf("mask %v does not fit scores %v", s, scoresOf(h))
	}
	return alignMask(s, scoresOf(h))
}

func attention[T kernel.Float](h kernel.Heads, mask tensor.Shape, c AttentionConfig) func(out, in [][]T) {
	at := rowsOfMask(scoresOf(h), mask)
	return func(out, in [][]T) {
		var m, dropped []T
		if mask != nil {
			m = in[3]
		}
		var key kernel.Key
		if h.Dropout > 0 {
			dropped, key = out[2], c.Noise.key(c.Stream)
		}
		kernel.Attention(out[0], out[1], dropped, in[0], in[1], in[2], m, at, h, key)
	}
}

func attentionWeights[T kernel.Float](h kernel.Heads, mask tensor.Shape) func(out, in [][]T) {
	at := rowsOfMask(scoresOf(h), mask)
	return func(out, in [][]T) {
		var m []T
		if mask != nil {
			m = in[2]
		}
		kernel.AttentionWeights(out[0], in[0], in[1], m, at, h)
	}
}

func attentionBackward(h kernel.Heads, aligned tensor.Shape, in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
	weights, err := tap(out, 1)
	if err != nil {
		return nil, err
	}
	read := G.Nodes{grad, in[0], in[1], in[2], weights}
	if h.Dropout > 0 {
		left, err := tap(out, 2)
		if err != nil {
			return nil, err
		}
		read = append(read, left)
	}
	// The fourth gradient is that of the scores, which the mask's adds up.
	masked := aligned != nil && need[3]
	var scratch []tensor.Shape
	if !masked && (need[0] || need[1]) {
		scratch = append(scratch, scoresOf(h))
	}
	of := G.Nodes{in[0], in[1], in[2], weights}
	ds, err := jointly("attention.backward", of, []bool{need[0], need[1], need[2], masked}, scratch,
		joint{attentionGradients[float32](h), attentionGradients[float64](h)}, read...)
	if err != nil {
		return nil, err
	}
	if masked {
		ds[3], err = reduce(ds[3], aligned, in[3].Shape(), 1)
	}
	return ds[:len(in)], err
}

func attentionGradients[T kernel.Float](h kernel.Heads) func(grads, scratch, in [][]T) {
	return func(grads, scratch, in [][]T) {
		var left []T
		if h.Dropout > 0 {
			left = in[5]
		}
		scores := grads[3]
		if len(scratch) > 0 {
			scores = scratch[0]
		}
		kernel.AttentionBackward(grads[0], grads[1], grads[2], scores, in[1], in[2], in[3], in[4], left, in[0], h)
	}
}
