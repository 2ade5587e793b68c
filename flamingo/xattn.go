package flamingo

import (
	"math"
	"strings"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// GatedBlock lets text look at images: cross-attention and a feed-forward, each
// times the tanh of a learned gate that starts at 0 (arXiv:2204.14198, 2.2).
type GatedBlock struct {
	AttentionGate, FeedGate *graph.Param // (1)

	norm                 *layers.LayerNorm
	query, keyValue, out *layers.Linear
	ff                   *feedForward
	heads                int
	path                 string
}

func newGatedBlock(s graph.Scope, c CrossConfig, width, context int) *GatedBlock {
	inner, attn := c.Heads*c.HeadWidth, s.Sub("attn")
	return &GatedBlock{
		AttentionGate: s.Param(attentionGate, graph.Zeros, 1),
		FeedGate:      s.Param(feedGate, graph.Zeros, 1),
		norm:          layers.NewLayerNorm(attn.Sub("norm"), width, eps),
		query:         projection(attn.Sub("to_q"), width, inner),
		keyValue:      projection(attn.Sub("to_kv"), context, 2*inner),
		out:           projection(attn.Sub("to_out"), inner, width),
		ff:            newFeedForward(s.Sub("ff"), width, c.Mult),
		heads:         c.Heads,
		path:          s.Path(),
	}
}

// memory is what a text attends to: keys and values (B, T·n, inner) of all
// latents.
type memory struct{ keys, values *graph.Node }

// remember maps latents (B, T, n, E) to keys and values.
func (k *GatedBlock) remember(b *graph.Builder, latents *graph.Node) memory {
	s := latents.Shape()
	keys, values := halves(b, k.keyValue.Forward(b.In(k.path), b.Reshape(latents, s[0], s[1]*s[2], s[3])))
	return memory{keys, values}
}

// forward maps text x (B, N, D) to (B, N, D); mask (B, N, T·n) is added to the
// scores of latents.
func (k *GatedBlock) forward(b *graph.Builder, x *graph.Node, m memory, mask *graph.Node) *graph.Node {
	b = b.In(k.path)
	q := k.query.Forward(b, k.norm.Forward(b, x))
	y := k.out.Forward(b, b.Attention(q, m.keys, m.values, mask, graph.AttentionConfig{Heads: k.heads}))
	x = b.Add(x, b.Mul(y, gate(b, k.AttentionGate)))
	return b.Add(x, b.Mul(k.ff.forward(b, x), gate(b, k.FeedGate)))
}

// IsGate tells whether a parameter is a gate. Until gates open nothing behind
// them learns, so they want a high learning rate.
func IsGate(p *graph.Param) bool {
	return strings.HasSuffix(p.Name, "."+attentionGate) || strings.HasSuffix(p.Name, "."+feedGate)
}

const attentionGate, feedGate = "attn_gate", "ff_gate"

func gate(b *graph.Builder, p *graph.Param) *graph.Node { return b.Activate(b.Param(p), op.Tanh) }

// mediaMask lets each token see latents by time (B, N), the number of images up
// to it: those n of the last image or, unless immediate, of all of them. It is
// added to scores (B, N, T·n). A token before the first image sees nothing.
func mediaMask(b *graph.Builder, time *graph.Node, T, n int, immediate bool) *graph.Node {
	table := make([]float64, (T+1)*T*n)
	for t := range T + 1 {
		for i := range T * n {
			if image := i/n + 1; image > t || immediate && image != t {
				table[t*T*n+i] = math.Inf(-1)
			}
		}
	}
	return b.Gather(b.Const(table, T+1, T*n), time)
}
