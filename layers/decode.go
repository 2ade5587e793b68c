package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// A Cache holds the keys and values of the tokens decoded so far, for every
// attention layer. It belongs to no graph: one that takes a whole prompt and
// one that takes a token share it. How many tokens it holds is known to whoever
// runs the graphs.
type Cache struct {
	Layers []CacheLayer
}

// CacheLayer is the cache of one layer, which graphs change in place.
type CacheLayer struct {
	Keys   *graph.Param // (B, H, K, M)
	Values *graph.Param // (B, H, M, K)
}

// CacheConfig sizes a cache.
type CacheConfig struct {
	Layers, Batch, Heads int
	Tokens               int // M, room for so many
	Width                int // D of keys and values, all heads together
}

// NewCache returns an empty cache.
func NewCache(c CacheConfig) *Cache {
	s := graph.NewScope(graph.Seed(0)).Sub("cache").Frozen()
	var k Cache
	for i := range c.Layers {
		at := s.Sub(i)
		K := c.Width / max(1, c.Heads)
		k.Layers = append(k.Layers, CacheLayer{
			Keys:   at.Param("keys", graph.Zeros, c.Batch, c.Heads, K, c.Tokens),
			Values: at.Param("values", graph.Zeros, c.Batch, c.Heads, c.Tokens, K),
		})
	}
	return &k
}

// Past is what all cached layers of a graph share.
type Past struct {
	Tokens *graph.Node // (B) or (1), the number of tokens in the cache, of each text or of all
	Mask   *graph.Node // (B, M), added to the scores of cached tokens; may be nil
	Prefix int         // the first tokens, which all see; 0 is causal throughout
}

// Cached lets x (B, N, D), the next N tokens, attend to those in the cache and
// to themselves up to their own place, and adds them to it. It has no gradient.
func (a *Attention) Cached(b *graph.Builder, x *graph.Node, cache CacheLayer, past Past) *graph.Node {
	return a.Out.Forward(b.In(a.path), a.cachedAverages(b, x, cache, past))
}

// cachedAverages is Cached without the output projection.
func (a *Attention) cachedAverages(b *graph.Builder, x *graph.Node, cache CacheLayer, past Past) *graph.Node {
	b = b.In(a.path)
	if b.Training() {
		b.Fail("Cached", "a cache serves evaluation, not training")
	}
	q := a.Query.Forward(b, x)
	k := a.Key.Forward(b, x)
	v := a.Value.Forward(b, x)
	c := op.CacheConfig{Heads: a.config.Heads, Prefix: past.Prefix}
	return b.Must(op.CachedAttention(q, k, v, b.Param(cache.Keys), b.Param(cache.Values), past.Tokens, past.Mask, c))
}

// Cached is Forward of the next N tokens x (B, N, D), given those in the cache.
func (k *Block) Cached(b *graph.Builder, x *graph.Node, cache CacheLayer, past Past) *graph.Node {
	b = b.In(k.path)
	x = k.add(b, x, k.Attn.Out, k.Attn.cachedAverages(b, k.Norm1.Forward(b, x), cache, past))
	return k.add(b, x, k.MLP.FC2, k.MLP.HiddenUnits(b, k.Norm2.Forward(b, x)))
}
