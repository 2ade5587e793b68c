package clip

import (
	"fmt"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Text is the tower of texts: a causal transformer read off at the end token.
type Text struct {
	TextConfig
	Tokens     *graph.Param // (V, D)
	Positions  *graph.Param // (L, D)
	Blocks     []*layers.Block
	Norm       *layers.LayerNorm
	Projection *layers.Linear // to the common space

	path string
}

// NewText declares the tower and its projection to width e, under the names of
// CLIPTextModelWithProjection. The configuration must be valid, as
// Config.Validate tells.
func NewText(s graph.Scope, c TextConfig, e int) *Text {
	act, _ := op.ParseActivation(c.HiddenAct)
	D := c.HiddenSize
	t := s.Sub("text_model")
	embeddings := t.Sub("embeddings")
	weight := graph.Normal(0.02)
	m := &Text{
		TextConfig: c,
		Tokens:     embeddings.Param("token_embedding.weight", weight, c.Vocabulary, D),
		Positions:  embeddings.Param("position_embedding.weight", weight, c.Context, D),
		path:       t.Path(),
	}
	for i := range c.Layers {
		m.Blocks = append(m.Blocks, layers.NewBlock(t.Sub("encoder", "layers", i), layers.BlockConfig{
			Width: D, Hidden: c.Intermediate, Heads: c.Heads, Act: act, Eps: c.LayerNormEps,
			AttentionDropout: c.AttentionDropout, Init: weight,
		}))
	}
	m.Norm = layers.NewLayerNorm(t.Sub("final_layer_norm"), D, c.LayerNormEps)
	m.Projection = layers.NewProjection(s.Sub("text_projection"), D, e, weight)
	return m
}

// Embed maps the ids of texts (B, L) and the indices of their end tokens (B),
// by TextConfig.End, to (B, E) of unit length. L may be any number up to the
// context: a token sees none of those after it, so that what follows the last
// end token can be left out.
func (m *Text) Embed(b *graph.Builder, ids, ends *graph.Node) *graph.Node {
	t := b.In(m.path)
	L := t.Expect(ids, -1, -1).Shape()[1]
	if L > m.Context {
		t.Fail("Embed", "%d tokens, want at most %d", L, m.Context)
	}
	x := t.Gather(t.Param(m.Tokens), ids) // (B, L, D)
	x = t.Add(x, t.Slice(t.Param(m.Positions), 0, 0, L))
	t.Trace("embeddings", x)
	mask, last := layers.Causal(t, L), len(m.Blocks)-1
	for i, k := range m.Blocks[:last] {
		x = k.Forward(t, x, mask)
		t.Trace(fmt.Sprint("block.", i), x)
	}
	// Nothing reads the last block's other tokens.
	B, D := x.Shape()[0], x.Shape()[2]
	end := func(x *graph.Node) *graph.Node { return t.Reshape(t.Must(op.At(x, ends)), B, 1, D) }
	x = m.Blocks[last].Picked(t, x, t.Reshape(t.Gather(mask, ends), B, 1, L), end)
	x = m.Norm.Forward(t, t.Reshape(x, B, D))
	return unit(b, m.Projection.Forward(b, x))
}
