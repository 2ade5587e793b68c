package dalle

import (
	"fmt"
	"math"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Model predicts the tokens of an image from those of a text.
type Model struct {
	Config
	Text          *layers.Embedding // (V, D)
	TextPositions *layers.Embedding // (T, D)
	Image         *layers.Embedding // (V, D)
	places        *places
	Blocks        []*layers.Block
	Norm          *layers.LayerNorm
	Head          *layers.Linear // to image tokens
	TextHead      *layers.Linear // to text tokens, nil without a loss of texts

	params *graph.Params
}

// New makes a model with values from src: graph.Seed for a fresh one, or a
// checkpoint's tensors in this module's layout (see Load).
func New(c Config, src graph.Source) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	act, err := op.ParseActivation(c.Activation)
	if err != nil {
		return nil, err
	}
	s := graph.NewScope(src).Rename(publishedName)
	weight := graph.Normal(c.InitializerRange)
	m := &Model{
		Config:        c,
		Text:          layers.NewEmbedding(s.Sub("text_embedding"), c.TextVocab, c.Width, weight),
		TextPositions: layers.NewEmbedding(s.Sub("text_pos_embedding"), c.TextTokens, c.Width, weight),
		Image:         layers.NewEmbedding(s.Sub("image_embedding"), c.ImageVocab, c.Width, weight),
		places:        newPlaces(s, c, weight),
		params:        s.Params(),
	}
	for i := range c.Layers {
		m.Blocks = append(m.Blocks, layers.NewBlock(s.Sub("transformer", i), layers.BlockConfig{
			Width: c.Width, Hidden: c.Hidden(), Heads: c.Heads, Act: act, Eps: c.Eps,
			Dropout: c.Dropout, AttentionDropout: c.AttentionDropout, Init: weight,
		}))
	}
	m.Norm = layers.NewLayerNorm(s.Sub("ln_f"), c.Width, c.Eps)
	m.Head = layers.NewLinear(s.Sub("head"), c.Width, c.ImageVocab, weight)
	if c.Causal() {
		m.TextHead = layers.NewLinear(s.Sub("text_head"), c.Width, c.TextVocab, weight)
	}
	return m, s.Err()
}

// Params returns the parameters under the published names, those of in_proj
// divided in queries, keys and values.
func (m *Model) Params() *graph.Params { return m.params }

// embedText maps text (B, T) to vectors (B, T, D).
func (m *Model) embedText(b *graph.Builder, text *graph.Node) *graph.Node {
	b.Expect(text, -1, m.TextTokens)
	return b.Add(m.Text.Forward(b, text), m.TextPositions.Forward(b, b.Const(upTo(m.TextTokens), m.TextTokens)))
}

// embedImage maps image tokens (B, n) at the given places (n), counted from 0,
// to vectors (B, n, D).
func (m *Model) embedImage(b *graph.Builder, image, at *graph.Node) *graph.Node {
	return b.Add(m.Image.Forward(b, image), m.places.Forward(b, at))
}

// hidden maps text (B, T) and image (B, N) to the states (B, T+N−1, D) of which
// state T−1+k predicts image token k: the last image token is not read.
func (m *Model) hidden(b *graph.Builder, text, image *graph.Node) *graph.Node {
	B := text.Shape()[0]
	b.Expect(image, B, m.ImageTokens)
	before := b.Slice(image, 1, 0, m.ImageTokens-1)
	x := b.Concat(1, m.embedText(b, text), m.embedImage(b, before, b.Const(upTo(m.ImageTokens-1), m.ImageTokens-1)))
	b.Trace("embeddings", x)
	mask := m.mask(b, text)
	for i, k := range m.Blocks {
		x = k.Forward(b, x, mask)
		b.Trace(fmt.Sprint("block.", i), x)
	}
	return m.Norm.Forward(b, x)
}

// Logits maps text (B, T) and image (B, N) to scores (B, N, V) of image tokens.
// Row k scores token k, given the text and the tokens before it.
func (m *Model) Logits(b *graph.Builder, text, image *graph.Node) *graph.Node {
	return m.imageLogits(b, m.hidden(b, text, image))
}

func (m *Model) imageLogits(b *graph.Builder, states *graph.Node) *graph.Node {
	return m.Head.Forward(b, b.Slice(states, 1, m.TextTokens-1, m.sequence()))
}

// Loss is the mean cross-entropy of the tokens of "image" (n, N) given "text"
// (n, T), in nats, which is also the output image_loss. With a loss of texts it
// is their weighted sum, and text_loss is the mean over tokens that are not
// padding, the first excepted, of which nothing is known.
func (m *Model) Loss(b *graph.Builder, n int) *graph.Node {
	text, image := b.Input("text", n, m.TextTokens), b.Input("image", n, m.ImageTokens)
	states := m.hidden(b, text, image)
	loss := b.Must(op.CrossEntropyIDs(m.imageLogits(b, states), image, nil))
	b.Output("image_loss", loss)
	if m.TextHead == nil {
		return loss
	}
	read := b.Slice(states, 1, 0, m.TextTokens-1)
	next := b.Slice(text, 1, 1, m.TextTokens)
	textLoss := b.Must(op.CrossEntropyIDs(m.TextHead.Forward(b, read), m.targets(b, next), nil))
	b.Output("text_loss", textLoss)
	return b.Add(b.Scale(textLoss, m.TextLoss), b.Scale(loss, 1-m.TextLoss))
}

// targets replaces padding in ids (B, n) by −1, which is not counted.
func (m *Model) targets(b *graph.Builder, ids *graph.Node) *graph.Node {
	if m.Padding == NoPadding {
		return ids
	}
	table := upTo(m.TextVocab)
	table[m.Padding] = -1
	return b.Reshape(b.Gather(b.Const(table, m.TextVocab, 1), ids), ids.Shape()...)
}

// mask is added to the scores of attention: (L, L) for L = T+N−1, or (B, L, L)
// where texts are padded. Row i sees columns up to i, rows of text all of the
// text unless it is causal, and nobody sees padding.
func (m *Model) mask(b *graph.Builder, text *graph.Node) *graph.Node {
	L, T := m.sequence(), m.TextTokens
	see := make([]float64, L*L)
	for i := range L {
		for j := i + 1; j < L; j++ {
			if m.Causal() || j >= T {
				see[i*L+j] = math.Inf(-1)
			}
		}
	}
	if m.Padding == NoPadding {
		return b.Const(see, L, L)
	}
	B := text.Shape()[0]
	table := make([]float64, m.TextVocab)
	table[m.Padding] = math.Inf(-1)
	padded := b.Reshape(b.Gather(b.Const(table, m.TextVocab, 1), text), B, 1, T)
	columns := b.Concat(2, padded, b.Const(make([]float64, B*(L-T)), B, 1, L-T))
	return b.Add(b.Const(see, 1, L, L), columns)
}

// upTo counts from 0 to n−1.
func upTo(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i)
	}
	return v
}
