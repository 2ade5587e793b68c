package op

import (
	"math"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// CacheConfig holds the attributes of CachedAttention.
type CacheConfig struct {
	Heads  int
	Scale  float64 // of the scores; 0 means 1/√K
	Prefix int     // the first tokens, which all queries see; 0 is causal throughout
}

// CachedAttention is Attention for decoding: N new tokens attend to those in a
// cache and to themselves, and join it. It takes queries (B, N, H·K), keys
// (B, N, H·K) and values (B, N, H·V) of the new tokens, and gives (B, N, H·V).
//
// The cache is two tensors with room for M tokens, keys (B, H, K, M) and values
// (B, H, M, V), which a run changes in place: a graph has one operation on
// each. past is the number of tokens there, of each example (B) or of all (1); a
// run writes tokens past, …, past+N−1 and fails unless 0 ≤ past ≤ M−N. Query i
// attends to the first past+i+1 tokens, or to Prefix if that is more, and a run
// costs as much as it attends to, whatever M is. A prefix must be written in one
// run. After a smaller past, tokens are written over those that were there.
//
// mask, which may be nil, has shape (B, M) and is added to the scores: −Inf
// excludes a cached token, such as padding. A query with nothing left gives 0.
// There is no gradient.
func CachedAttention(q, k, v, keys, values, past, mask *G.Node, c CacheConfig) (*G.Node, error) {
	h, err := AttentionConfig{Heads: c.Heads, Scale: c.Scale}.heads(q, k, v)
	if err != nil {
		return nil, err
	}
	if h.M != h.N {
		return nil, errors.Errorf("%d queries with keys of %d tokens, want as many", h.N, h.M)
	}
	if h.N < 1 {
		return nil, errors.New("no new tokens")
	}
	s := keys.Shape()
	if s.Dims() != 4 || s[0] != h.B || s[1] != h.H || s[2] != h.K {
		return nil, errors.Errorf("cache of keys has shape %v, want (%d, %d, %d, M)", s, h.B, h.H, h.K)
	}
	h.M = s[3]
	if want := (tensor.Shape{h.B, h.H, h.M, h.V}); !values.Shape().Eq(want) {
		return nil, errors.Errorf("cache of values has shape %v, want %v", values.Shape(), want)
	}
	if keys == values {
		return nil, errors.New("keys and values share a cache")
	}
	if h.M < h.N || h.M >= maxExact {
		return nil, errors.Errorf("%d new tokens for a cache of %d, want at most as many and less than %d", h.N, h.M, maxExact)
	}
	if p := past.Shape(); !p.Eq(tensor.Shape{1}) && !p.Eq(tensor.Shape{h.B}) {
		return nil, errors.Errorf("past has shape %v, want (%d) or (1)", p, h.B)
	}
	if mask != nil && !mask.Shape().Eq(tensor.Shape{h.B, h.M}) {
		return nil, errors.Errorf("mask has shape %v, want (%d, %d)", mask.Shape(), h.B, h.M)
	}
	if c.Prefix < 0 || math.IsNaN(c.Scale) {
		return nil, errors.Errorf("prefix of %d tokens, scale %g", c.Prefix, c.Scale)
	}
	ch := kernel.CachedHeads{Heads: h, Prefix: c.Prefix}
	return apply(spec{
		name:    "cached_attention",
		outputs: []tensor.Shape{{h.B, h.N, h.H * h.V}, {h.B, h.H, ch.QueryRows(), h.M}}, // and scratch
		flops:   multiplyAdds(h.B, h.H, h.N, h.M, h.K+h.V),
		forward: compute{cachedAttention[float32](ch), cachedAttention[float64](ch)},
	}, args(q, k, v, keys, values, past, mask)...)
}

func cachedAttention[T kernel.Float](c kernel.CachedHeads) func(out, in [][]T) {
	a := kernel.NewCachedAttention[T](c)
	return func(out, in [][]T) {
		p := kernel.CachedPass[T]{
			Y: out[0], Scores: out[1], Q: in[0], K: in[1], V: in[2], Keys: in[3], Values: in[4], Past: in[5],
		}
		if len(in) > 6 {
			p.Mask = in[6]
		}
		a.Pass(p)
	}
}
