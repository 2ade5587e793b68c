package clip

import (
	"tessera/graph"
)

// Model is two towers and the temperature of their agreement.
type Model struct {
	Config
	Vision     *Vision
	Text       *Text
	LogitScale *graph.Param // (), natural logarithm of what cosines are multiplied by
	LogitBias  *graph.Param // (), added to logits; nil: none

	params *graph.Params
}

// New makes a model with values from src: graph.Seed for a fresh one, or a
// checkpoint's tensors.
func New(c Config, src graph.Source) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := graph.NewScope(initialized{src, c})
	m := &Model{
		Config:     c,
		LogitScale: s.Param("logit_scale", graph.Constant(c.LogitScale)),
		Text:       NewText(s, c.Text, c.ProjectionDim),
		Vision:     NewVision(s, c.Vision, c.ProjectionDim),
		params:     s.Params(),
	}
	if c.LogitBias != nil {
		m.LogitBias = s.Param("logit_bias", graph.Constant(*c.LogitBias))
	}
	return m, s.Err()
}

// Params returns the parameters under the names of Hugging Face.
func (m *Model) Params() *graph.Params { return m.params }

// EncodeImage maps images (B, C, S, S) to (B, E) of unit length.
func (m *Model) EncodeImage(b *graph.Builder, images *graph.Node) *graph.Node {
	return m.Vision.Embed(b, images)
}

// EncodeText maps ids (B, L) and the indices of end tokens (B) to (B, E) of
// unit length.
func (m *Model) EncodeText(b *graph.Builder, ids, ends *graph.Node) *graph.Node {
	return m.Text.Embed(b, ids, ends)
}

// Logits compares images (B, E) with texts (M, E), giving (B, M): cosines times
// the learned scale, plus the bias if there is one.
func (m *Model) Logits(b *graph.Builder, images, texts *graph.Node) *graph.Node {
	x := b.Mul(b.MatMulT(images, texts), b.Exp(b.Param(m.LogitScale)))
	if m.LogitBias != nil {
		x = b.Add(x, b.Param(m.LogitBias))
	}
	return x
}

// maxLogitScale is ln 100: a scale beyond makes training unstable
// (arXiv:2103.00020, section 2.5).
const maxLogitScale = 4.605170185988092

// Clamp keeps the logit scale of a model's parameters at ln 100 or below; it
// follows every step of training.
func Clamp(ps *graph.Params) {
	if p := ps.Get("logit_scale"); p != nil {
		p.Float32s()[0] = min(p.Float32s()[0], maxLogitScale)
	}
}
