package gpt2

import (
	"slices"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/layers"
)

// A Decoder predicts tokens one after another for a batch of texts, with cached
// keys and values: a step costs one token's pass, not that of the whole text.
// It serves one caller at a time. The model's parameters must not change while
// it lives.
type Decoder struct {
	batch    int // B
	capacity int // M, tokens
	passes   *layers.Passes
}

// NewDecoder makes a decoder of batch texts of at most capacity tokens each,
// prompt included.
func (m *Model) NewDecoder(batch, capacity int) (*Decoder, error) {
	if batch < 1 || capacity < 1 || capacity > m.Context {
		return nil, errors.Errorf("gpt2: %d texts of %d tokens, want at least one, and at most n_positions %d", batch, capacity, m.Context)
	}
	cache := layers.NewCache(layers.CacheConfig{Layers: m.Layers, Batch: batch, Heads: m.Heads, Tokens: capacity, Width: m.Width})
	passes, err := layers.NewPasses(layers.PassesConfig{
		Batch: batch, Tokens: capacity,
		Logits: func(b *graph.Builder, t layers.Next) *graph.Node {
			x := m.Embed(b, t.IDs, t.Places)
			for i, k := range m.Blocks {
				x = k.Cached(b, x, cache.Layers[i], t.Past)
			}
			return m.Head(b, t.Last(b, x))
		},
	})
	return &Decoder{batch, capacity, passes}, err
}

// Past is the number of tokens taken of the longest text.
func (d *Decoder) Past() int { return slices.Max(d.passes.Past()) }

// Close frees the programs.
func (d *Decoder) Close() error { return d.passes.Close() }

// Start forgets everything and takes a prompt for each text, at once. It
// returns the scores (B, V) of the tokens that follow, valid until the next
// call. Prompts may differ in length, which changes nothing for any.
func (d *Decoder) Start(prompts [][]int) ([]float32, error) {
	if len(prompts) != d.batch {
		return nil, errors.Errorf("gpt2: %d prompts for %d texts", len(prompts), d.batch)
	}
	lengths := make([]int, d.batch)
	for i, ids := range prompts {
		if len(ids) == 0 {
			return nil, errors.Errorf("gpt2: prompt %d is empty", i)
		}
		lengths[i] = len(ids)
	}
	p, err := d.passes.Prompt(lengths)
	if err != nil {
		return nil, errors.WithMessage(err, "gpt2")
	}
	for i, ids := range prompts {
		row := p.Row("ids", i)
		for j, id := range ids {
			row[j] = float32(id)
		}
	}
	return d.run(p)
}

// Next takes one more token of each text. It returns the scores (B, V) of the
// tokens that follow, valid until the next call.
func (d *Decoder) Next(ids []int) ([]float32, error) {
	if len(ids) != d.batch {
		return nil, errors.Errorf("gpt2: %d tokens for %d texts", len(ids), d.batch)
	}
	p := d.passes.Step()
	for i, id := range ids {
		p.Row("ids", i)[0] = float32(id)
	}
	return d.run(p)
}

func (d *Decoder) run(p *layers.Pass) ([]float32, error) {
	logits, err := d.passes.Run(p)
	return logits, errors.WithMessage(err, "gpt2")
}
