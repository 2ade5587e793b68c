package clip

import (
	"fmt"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Vision is the tower of images: a vision transformer with a norm before its
// blocks.
type Vision struct {
	VisionConfig
	Class      *graph.Param // (D)
	Patches    *layers.Patches
	Positions  *graph.Param // (1+N, D)
	PreNorm    *layers.LayerNorm
	Blocks     []*layers.Block
	Norm       *layers.LayerNorm // of the class token after the blocks
	Projection *layers.Linear    // to the common space

	path string
}

// NewVision declares the tower and its projection to width e, under the names
// of CLIPVisionModelWithProjection. The configuration must be valid, as
// Config.Validate tells.
func NewVision(s graph.Scope, c VisionConfig, e int) *Vision {
	act, _ := op.ParseActivation(c.HiddenAct)
	D, P := c.HiddenSize, c.PatchSize
	v := s.Sub("vision_model")
	embeddings := v.Sub("embeddings")
	weight := graph.Normal(0.02) // for any source without a better choice
	m := &Vision{
		VisionConfig: c,
		Class:        embeddings.Param("class_embedding", weight, D),
		Patches: &layers.Patches{
			Weight: embeddings.Param("patch_embedding.weight", graph.KaimingUniform(c.Channels*P*P), D, c.Channels, P, P),
		},
		Positions: embeddings.Param("position_embedding.weight", weight, c.Tokens(), D),
		PreNorm:   layers.NewLayerNorm(v.Sub("pre_layrnorm"), D, c.LayerNormEps), // sic
		path:      v.Path(),
	}
	for i := range c.Layers {
		m.Blocks = append(m.Blocks, layers.NewBlock(v.Sub("encoder", "layers", i), layers.BlockConfig{
			Width: D, Hidden: c.Intermediate, Heads: c.Heads, Act: act, Eps: c.LayerNormEps,
			AttentionDropout: c.AttentionDropout, Init: weight,
		}))
	}
	m.Norm = layers.NewLayerNorm(v.Sub("post_layernorm"), D, c.LayerNormEps)
	m.Projection = layers.NewProjection(s.Sub("visual_projection"), D, e, weight)
	return m
}

// Tokens maps images (B, C, S, S) to tokens (B, 1+N, D), the class token first,
// as they leave the blocks.
func (m *Vision) Tokens(b *graph.Builder, images *graph.Node) *graph.Node {
	return m.blocks(b, m.embed(b, images), m.Blocks)
}

// embed maps images (B, C, S, S) to tokens with positions (B, 1+N, D).
func (m *Vision) embed(b *graph.Builder, images *graph.Node) *graph.Node {
	b = b.In(m.path)
	b.Expect(images, -1, m.Channels, m.ImageSize, m.ImageSize)
	x := m.Patches.Forward(b, images) // (B, N, D)
	x = layers.Prepend(b, m.Class, x) // (B, 1+N, D)
	x = b.Add(x, b.Param(m.Positions))
	return b.Trace("embeddings", m.PreNorm.Forward(b, x))
}

// blocks applies transformer blocks, the first of which is block 0.
func (m *Vision) blocks(b *graph.Builder, x *graph.Node, ks []*layers.Block) *graph.Node {
	b = b.In(m.path)
	for i, k := range ks {
		x = k.Forward(b, x, nil)
		b.Trace(fmt.Sprint("block.", i), x)
	}
	return x
}

// Features maps images (B, C, S, S) to the tokens of their patches (B, N, D),
// neither normalized nor projected, as models of language look at them.
func (m *Vision) Features(b *graph.Builder, images *graph.Node) *graph.Node {
	return b.Slice(m.Tokens(b, images), 1, 1, m.VisionConfig.Tokens())
}

// Embed maps images (B, C, S, S) to (B, E) of unit length.
func (m *Vision) Embed(b *graph.Builder, images *graph.Node) *graph.Node {
	// Nothing reads the last block's other tokens.
	class := func(x *graph.Node) *graph.Node { return b.Slice(x, 1, 0, 1) } // (B, 1, D)
	last := len(m.Blocks) - 1
	x := m.blocks(b, m.embed(b, images), m.Blocks[:last])
	x = m.Blocks[last].Picked(b.In(m.path), x, nil, class)
	return m.project(b, b.At(x, 1, 0))
}

// Patchwise maps images (B, C, S, S) to (B, N, E) of unit length: every patch
// projected as if it were the class token. Products with a text's embedding
// make a heat map.
func (m *Vision) Patchwise(b *graph.Builder, images *graph.Node) *graph.Node {
	return m.project(b, m.Features(b, images))
}

// project maps tokens (…, D) to (…, E) of unit length.
func (m *Vision) project(b *graph.Builder, x *graph.Node) *graph.Node {
	return unit(b, m.Projection.Forward(b, m.Norm.Forward(b, x)))
}

// unit gives the last axis length 1. The published code divides by the length
// itself; the bound only keeps a row of zeros from becoming NaN.
func unit(b *graph.Builder, x *graph.Node) *graph.Node { return b.L2Normalize(x, 1e-12) }
