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
	x = b.Add(x, k.drop(b, k.Attn.Forward(b, k.Norm1.Forward(b, x), mask)))
	return b.Add(x, k.drop(b, k.MLP.Forward(b, k.Norm2.Forward(b, x))))
}

// drop regularizes the output of a branch in training.
func (k *Block) drop(b *graph.Builder, x *graph.Node) *graph.Node {
	return b.DropPath(b.Dropout(x, k.dropout), k.dropPath)
}

// Attention gives the probabilities (B, H, N, N) of the block's attention.
func (k *Block) Attention(b *graph.Builder, x, mask *graph.Node) *graph.Node {
	return k.Attn.Weights(b, k.Norm1.Forward(b, x), mask)
}
