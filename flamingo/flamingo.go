package flamingo

import (
	"tessera/flamingo/gpt2"
	"tessera/graph"
)

// Model predicts text from text and images. The language model is frozen.
type Model struct {
	Config
	Resampler *Resampler
	Language  *gpt2.Model
	Gated     map[int]*GatedBlock // by the block of the language model they stand before
	NewRows   *graph.Param        // (A, D), rows of the added tokens, of embedding and head; nil: none

	params *graph.Params
}

// New makes a model with values from src: graph.Seed for a fresh one, a
// checkpoint's tensors in this module's layout (see Load), or Around a language
// model.
func New(c Config, src graph.Source) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	text := c.Text
	text.EmbedDropout, text.AttentionDropout, text.ResidualDropout = 0, 0, 0
	s := graph.NewScope(src)
	lang := s.Sub(language)
	m := &Model{
		Config:    c,
		Resampler: newResampler(s.Sub("perceiver"), c.Resampler, c.Vision),
		Gated:     map[int]*GatedBlock{},
		params:    s.Params(),
	}
	for i := range c.Text.Layers {
		if c.gated(i) {
			m.Gated[i] = newGatedBlock(lang.Sub("gated_cross_attn_layers", i), c.Cross, c.Text.Width, c.Vision)
		}
	}
	if c.Added > 0 {
		m.NewRows = lang.Param("added_tokens.weight", graph.Normal(c.Text.InitializerRange), c.Added, c.Text.Width)
	}
	var err error
	if m.Language, err = gpt2.Declare(lang.Frozen(), text); err != nil {
		return nil, err
	}
	return m, s.Err()
}

// Params returns the parameters under the names of open_flamingo, those of the
// language model as package gpt2 has them. All but the latter are trained.
func (m *Model) Params() *graph.Params { return m.params }

// Latents maps patches (B, T, F, N, E) of images to latents (B, T, n, E); see
// Resampler.Forward.
func (m *Model) Latents(b *graph.Builder, patches, mask *graph.Node) *graph.Node {
	return m.Resampler.Forward(b, patches, mask)
}
