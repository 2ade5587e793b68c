package gpt2

import (
	"fmt"
	"math"
	"strings"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Model predicts the next token of a text. Its parts are exported for models
// that put layers between the blocks.
type Model struct {
	Config
	Tokens    *layers.Embedding // (V, D), also the head
	Positions *layers.Embedding // (n_positions, D), by place
	Blocks    []*layers.Block
	Norm      *layers.LayerNorm

	params *graph.Params
}

// New makes a model with values from src: graph.Seed for a fresh one, or a
// checkpoint's tensors in this module's layout (see Conv1D).
func New(c Config, src graph.Source) (*Model, error) {
	s := graph.NewScope(residualInit{src, graph.Normal(c.InitializerRange / math.Sqrt(2*float64(c.Layers)))})
	m, err := Declare(s, c)
	if err != nil {
		return nil, err
	}
	return m, s.Err()
}

// residualInit draws the projections that add to the residual stream from a
// narrower distribution, so that its variance does not grow with depth.
type residualInit struct {
	graph.Source
	init graph.Init
}

func (r residualInit) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	if strings.HasSuffix(name, ".c_proj.weight") {
		init = r.init
	}
	return r.Source.Tensor(name, shape, init)
}

// Declare declares the model's parameters in a scope, as part of a larger
// model, whose scope reports missing ones. The error is the configuration's.
func Declare(s graph.Scope, c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	act, err := op.ParseActivation(c.Activation)
	if err != nil {
		return nil, err
	}
	s = s.Rename(publishedName)
	weight := graph.Normal(c.InitializerRange)
	m := &Model{
		Config:    c,
		Tokens:    layers.NewEmbedding(s.Sub("wte"), c.VocabSize, c.Width, weight),
		Positions: layers.NewEmbedding(s.Sub("wpe"), c.Context, c.Width, weight),
		params:    s.Params(),
	}
	for i := range c.Layers {
		k := layers.NewBlock(s.Sub("h", i), layers.BlockConfig{
			Width: c.Width, Hidden: c.Hidden(), Heads: c.Heads, Act: act, Eps: c.LayerNormEps,
			Dropout: c.ResidualDropout, AttentionDropout: c.AttentionDropout, Init: weight,
		})
		k.MLP.Dropout = 0 // GPT-2 drops outputs of branches, not hidden units
		m.Blocks = append(m.Blocks, k)
	}
	m.Norm = layers.NewLayerNorm(s.Sub("ln_f"), c.Width, c.LayerNormEps)
	return m, nil
}

// Params returns the parameters under the published names, those of c_attn
// divided in three.
func (m *Model) Params() *graph.Params { return m.params }

// Embed maps ids (B, N) at the positions (N) or (B, N) to vectors (B, N, D).
func (m *Model) Embed(b *graph.Builder, ids, positions *graph.Node) *graph.Node {
	x := b.Add(m.Tokens.Forward(b, ids), m.Positions.Forward(b, positions))
	return b.Dropout(x, m.EmbedDropout)
}

// Head maps the last block's output (…, D) to logits (…, V).
func (m *Model) Head(b *graph.Builder, x *graph.Node) *graph.Node {
	return m.Tokens.Logits(b, m.Norm.Forward(b, x))
}

// Logits maps ids (B, N) to scores (B, N, V) of the token that follows each.
func (m *Model) Logits(b *graph.Builder, ids *graph.Node) *graph.Node {
	b.Expect(ids, -1, -1)
	N := ids.Shape()[1]
	if N > m.Context {
		b.Fail("Logits", "%d tokens, want at most n_positions %d", N, m.Context)
	}
	positions := make([]float64, N)
	for i := range positions {
		positions[i] = float64(i)
	}
	x := b.Trace("embeddings", m.Embed(b, ids, b.Const(positions, N)))
	mask := layers.Causal(b, N)
	for i, k := range m.Blocks {
		x = k.Forward(b, x, mask)
		b.Trace(fmt.Sprint("block.", i), x)
	}
	return m.Head(b, x)
}
