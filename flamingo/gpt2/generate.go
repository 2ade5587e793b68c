package gpt2

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/pkg/errors"

	"tessera/layers/sample"
)

// GenerateOptions say how texts are continued.
type GenerateOptions struct {
	MaxTokens int // new tokens of each text, at most; 0: as many as the context holds
	Samples   int // continuations; 0 means 1
	Sampler   sample.Sampler
	Seed      uint64 // of the draws: that of sample i depends on Seed and i alone
	Stop      []int  // tokens that end a text, which are not part of it
	// Token is told of every new token as it is drawn; an error ends the
	// generation. May be nil.
	Token func(sample, id int) error
}

// Generate continues a prompt and returns the new tokens of every sample. A
// text ends before a stop token or where the context is full. Canceling ctx
// ends the generation with its error. Whatever was generated before an error is
// returned with it.
func (m *Model) Generate(ctx context.Context, prompt []int, o GenerateOptions) ([][]int, error) {
	if err := o.Sampler.Validate(); err != nil {
		return nil, err
	}
	if o.MaxTokens < 0 || o.Samples < 0 {
		return nil, errors.Errorf("gpt2: %d samples of %d tokens, want 0 or more", o.Samples, o.MaxTokens)
	}
	if len(prompt) == 0 || len(prompt) > m.Context {
		return nil, errors.Errorf("gpt2: a prompt of %d tokens, want 1 to %d", len(prompt), m.Context)
	}
	g := &generation{GenerateOptions: o, texts: make([]text, max(1, o.Samples))}
	// The last token drawn is not decoded.
	room := m.Context - len(prompt) + 1
	if g.MaxTokens == 0 || g.MaxTokens > room {
		g.MaxTokens = room
	}
	d, err := m.NewDecoder(len(g.texts), len(prompt)+g.MaxTokens-1)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	prompts := make([][]int, len(g.texts))
	for i := range g.texts {
		prompts[i] = prompt
		g.texts[i] = text{
			rng: rand.New(rand.NewPCG(o.Seed, uint64(i))),
			ids: append(make([]int, 0, len(prompt)+g.MaxTokens), prompt...),
		}
	}
	err = g.run(ctx, d, prompts)
	out := make([][]int, len(g.texts))
	for i, t := range g.texts {
		out[i] = t.ids[len(prompt):]
	}
	return out, err
}

// generation is the state of one call of Generate.
type generation struct {
	GenerateOptions
	texts []text
}

// text is one sample.
type text struct {
	rng  *rand.Rand
	ids  []int // prompt and new tokens
	over bool
}

func (g *generation) run(ctx context.Context, d *Decoder, prompts [][]int) error {
	logits, err := d.Start(prompts)
	next := make([]int, len(g.texts))
	for step := 0; step < g.MaxTokens; step++ {
		if step > 0 {
			logits, err = d.Next(next)
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return errors.WithStack(err)
		}
		going, err := g.draw(logits, next)
		if err != nil || !going {
			return err
		}
	}
	return err
}

// draw takes one token for each text that is not over and tells whether any is
// left. The next token of others is some valid one.
func (g *generation) draw(logits []float32, next []int) (going bool, err error) {
	vocabulary := len(logits) / len(g.texts)
	for i := range g.texts {
		t := &g.texts[i]
		if t.over {
			continue
		}
		id := g.Sampler.Next(logits[i*vocabulary:(i+1)*vocabulary], t.ids, t.rng)
		if id < 0 {
			return false, errors.Errorf("gpt2: sample %d: no token is possible after %d: all logits are −Inf or NaN", i, len(t.ids))
		}
		if slices.Contains(g.Stop, id) {
			t.over = true
			continue
		}
		t.ids = append(t.ids, id)
		next[i] = id
		going = true
		if g.Token != nil {
			if err := g.Token(i, id); err != nil {
				return false, err
			}
		}
	}
	return going, nil
}
