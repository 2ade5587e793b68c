package layers

import "tessera/graph"

// AttentionConfig sizes multi-head attention.
type AttentionConfig struct {
	Width   int // D, of queries and output
	Context int // width of keys' and values' input; 0 means Width
	Heads   int
	NoBias  bool    // no bias in queries, keys and values
	Dropout float64 // probability of dropping an attention weight, 0 ≤ p < 1
	Init    graph.Init
}

// Attention is multi-head scaled dot-product attention (arXiv:1706.03762).
type Attention struct {
	Query, Key, Value, Out *Linear
	config                 graph.AttentionConfig
	path                   string
}

// NewAttention declares the four projections.
func NewAttention(s graph.Scope, c AttentionConfig) *Attention {
	linear := NewLinear
	if c.NoBias {
		linear = NewProjection
	}
	if c.Context == 0 {
		c.Context = c.Width
	}
	return &Attention{
		Query:  linear(s.Sub("q_proj"), c.Width, c.Width, c.Init),
		Key:    linear(s.Sub("k_proj"), c.Context, c.Width, c.Init),
		Value:  linear(s.Sub("v_proj"), c.Context, c.Width, c.Init),
		Out:    NewLinear(s.Sub("out_proj"), c.Width, c.Width, c.Init),
		config: graph.AttentionConfig{Heads: c.Heads, Dropout: c.Dropout},
		path:   s.Path(),
	}
}

// Forward lets x (B, N, D) attend to itself. mask is nil or added to the
// scores: (N, N), (B, N, N) or (B, H, N, N), any of B, H and N being 1.
func (a *Attention) Forward(b *graph.Builder, x, mask *graph.Node) *graph.Node {
	return a.Cross(b, x, x, mask)
}

// Cross lets x (B, N, D) attend to context (B, M, E).
func (a *Attention) Cross(b *graph.Builder, x, context, mask *graph.Node) *graph.Node {
	return a.Out.Forward(b.In(a.path), a.Averages(b, x, context, mask))
}

// Averages is Cross without the output projection: the averages of values
// (B, N, D) by all heads.
func (a *Attention) Averages(b *graph.Builder, x, context, mask *graph.Node) *graph.Node {
	b = b.In(a.path)
	q := a.Query.Forward(b, x)
	k := a.Key.Forward(b, context)
	v := a.Value.Forward(b, context)
	return b.Attention(q, k, v, mask, a.config)
}

// Weights gives the probabilities (B, H, N, N) with which x attends to itself.
func (a *Attention) Weights(b *graph.Builder, x, mask *graph.Node) *graph.Node {
	b = b.In(a.path)
	return b.AttentionWeights(a.Query.Forward(b, x), a.Key.Forward(b, x), mask, a.config)
}
