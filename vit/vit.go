package vit

import (
	"fmt"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Model classifies images.
type Model struct {
	Config
	Patches   *layers.Patches
	Class     *graph.Param // (1, 1, D)
	Positions *graph.Param // (1, 1+N, D)
	Blocks    []*layers.Block
	Norm      *layers.LayerNorm
	Head      *layers.Linear

	params *graph.Params
}

// New makes a model with values from src: graph.Seed for a fresh one, or a
// checkpoint's tensors.
func New(c Config, src graph.Source) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	act, err := op.ParseActivation(c.HiddenAct)
	if err != nil {
		return nil, err
	}
	s := graph.NewScope(src).Rename(hfName)
	weight := graph.TruncatedNormal(c.InitializerRange)
	m := &Model{
		Config:    c,
		Class:     s.Param("class_embedding", weight, 1, 1, c.HiddenSize),
		Positions: s.Param("position_embedding", weight, 1, c.Tokens(), c.HiddenSize),
		Patches:   layers.NewPatches(s.Sub("patch_embedding"), c.Channels, c.PatchSize, c.HiddenSize, weight),
		params:    s.Params(),
	}
	for i := range c.Layers {
		m.Blocks = append(m.Blocks, layers.NewBlock(s.Sub("encoder", "layers", i), layers.BlockConfig{
			Width: c.HiddenSize, Hidden: c.Intermediate, Heads: c.Heads, Act: act, Eps: c.LayerNormEps,
			NoQKVBias: !c.QKVBias, Dropout: c.HiddenDropout, AttentionDropout: c.AttentionDropout,
			DropPath: c.DropPath * float64(i) / float64(max(1, c.Layers-1)), Init: weight,
		}))
	}
	m.Norm = layers.NewLayerNorm(s.Sub("post_layernorm"), c.HiddenSize, c.LayerNormEps)
	m.Head = layers.NewLinear(s.Sub("classifier"), c.HiddenSize, c.Classes(), weight)
	return m, s.Err()
}

// Params returns the parameters under the names of Hugging Face.
func (m *Model) Params() *graph.Params { return m.params }

// embed maps images (B, C, S, S) to tokens (B, 1+N, D) with positions.
func (m *Model) embed(b *graph.Builder, images *graph.Node) *graph.Node {
	b.Expect(images, -1, m.Channels, m.ImageSize, m.ImageSize)
	x := m.Patches.Forward(b, images)  // (B, N, D)
	x = layers.Prepend(b, m.Class, x)  // (B, 1+N, D)
	x = b.Add(x, b.Param(m.Positions)) //
	return b.Dropout(x, m.HiddenDropout)
}

// Features maps images (B, C, S, S) to normalized tokens (B, 1+N, D), the class
// token first.
func (m *Model) Features(b *graph.Builder, images *graph.Node) *graph.Node {
	x := m.blocks(b, m.embed(b, images), m.Blocks)
	return m.Norm.Forward(b, x)
}

// blocks applies transformer blocks, the first of which is block 0.
func (m *Model) blocks(b *graph.Builder, x *graph.Node, ks []*layers.Block) *graph.Node {
	b.Trace("embeddings", x)
	for i, k := range ks {
		x = k.Forward(b, x, nil)
		b.Trace(fmt.Sprint("block.", i), x)
	}
	return x
}

// Logits maps images (B, C, S, S) to class scores (B, Classes).
func (m *Model) Logits(b *graph.Builder, images *graph.Node) *graph.Node {
	return m.Head.Forward(b, m.pooled(b, images))
}

// pooled gives the features (B, D) that the head reads.
func (m *Model) pooled(b *graph.Builder, images *graph.Node) *graph.Node {
	if m.Pooling == "mean" {
		x := m.Features(b, images)
		return b.Mean(b.Slice(x, 1, 1, m.Tokens()), 1) // over the patches
	}
	// Nothing reads the last block's other tokens.
	class := func(x *graph.Node) *graph.Node { return b.Slice(x, 1, 0, 1) } // (B, 1, D)
	last := len(m.Blocks) - 1
	x := m.blocks(b, m.embed(b, images), m.Blocks[:last])
	x = m.Blocks[last].Picked(b, x, nil, class)
	return b.At(m.Norm.Forward(b, x), 1, 0)
}

// Loss is cross-entropy of the inputs "image" (n, C, S, S) against class
// probabilities "label" (n, Classes). It is linear in them, so mixed labels
// need no second term. It is also measured by the output "accuracy".
func (m *Model) Loss(b *graph.Builder, n int) *graph.Node {
	images := b.Input("image", n, m.Channels, m.ImageSize, m.ImageSize)
	labels := b.Input("label", n, m.Classes())
	logits := m.Logits(b, images)
	b.Output("accuracy", b.Accuracy(logits, labels))
	return b.CrossEntropy(logits, labels)
}

// Attentions gives the attention probabilities (B, H, T, T) of every block.
func (m *Model) Attentions(b *graph.Builder, images *graph.Node) []*graph.Node {
	x := m.embed(b, images)
	var maps []*graph.Node
	for _, k := range m.Blocks {
		maps = append(maps, k.Attention(b, x, nil))
		x = k.Forward(b, x, nil)
	}
	return maps
}
