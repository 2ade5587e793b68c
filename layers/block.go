package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// BlockConfig sizes a transformer block.
type BlockConfig struct {
	Width, Hidden, Heads int
	Act                  op.Activation
	Eps                  float64 // of the norms
	NoQKVBias            bool
	Dropout              float64 // of hidden units and of both branches' outputs
	AttentionDropout     float64
	DropPath             float64 // probability of dropping a branch of an example
	Init                 graph.Init
}

// Block is a pre-norm transformer block (arXiv:2002.04745).
type Block struct {
	Norm1 *LayerNorm
	Attn  *Attention
	Norm2 *LayerNorm
	MLP   *MLP

	dropout, dropPath float64
	path              string
}

// NewBlock declares a block.
func NewBlock(s graph.Scope, c BlockConfig) *Block {
	return &Block{
		Norm1: NewLayerNorm(s.Sub("layer_norm1"), c.Width, c.Eps),
		Attn: NewAttention(s.Sub("self_attn"), AttentionConfig{
			Width: c.Width, Heads: c.Heads, NoBias: c.NoQKVBias, Dropout: c.AttentionDropout, Init: c.Init,
		}),
		Norm2:    NewLayerNorm(s.Sub("layer_norm2"), c.Width, c.Eps),
		MLP:      NewMLP(s.Sub("mlp"), c.Width, c.Hidden, c.Act, c.Dropout, c.Init),
		dropout:  c.Dropout,
		dropPath: c.DropPath,
		path:     s.Path(),
	}
}

// Forward maps x (B, N, D) to (B, N, D); mask is nil or added to the scores.
func (k *Block) Forward(b *graph.Builder, x, mask *graph.Node) *graph.Node {
	b = b.In(k.path)
	y := k.Norm1.Forward(b, x)
	x = k.add(b, x, k.Attn.Out, k.Attn.Averages(b, y, y, mask))
	y = k.Norm2.Forward(b, x)
	return k.add(b, x, k.MLP.FC2, k.MLP.HiddenUnits(b, y))
}

// Picked is Forward for some of the tokens only: pick takes them from
// (B, N, D), giving (B, n, D), and mask, nil or added to the scores, is that of
// their rows. It spares a last block what nothing reads.
func (k *Block) Picked(b *graph.Builder, x, mask *graph.Node, pick func(*graph.Node) *graph.Node) *graph.Node {
	b = b.In(k.path)
	y := k.Norm1.Forward(b, x)
	x = k.add(b, pick(x), k.Attn.Out, k.Attn.Averages(b, pick(y), y, mask))
	y = k.Norm2.Forward(b, x)
	return k.add(b, x, k.MLP.FC2, k.MLP.HiddenUnits(b, y))
}

// add ends a branch: x plus the projection of y, regularized in training.
func (k *Block) add(b *graph.Builder, x *graph.Node, out *Linear, y *graph.Node) *graph.Node {
	if !b.Training() || k.dropout == 0 && k.dropPath == 0 {
		return out.Added(b, y, x)
	}
	y = b.Dropout(out.Forward(b, y), k.dropout)
	return b.Add(x, b.DropPath(y, k.dropPath))
}

// Attention gives the probabilities (B, H, N, N) of the block's attention.
func (k *Block) Attention(b *graph.Builder, x, mask *graph.Node) *graph.Node {
	return k.Attn.Weights(b, k.Norm1.Forward(b, x), mask)
}
