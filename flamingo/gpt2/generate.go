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
	MaxTokens int // new tokens of each text, at most; 0: as many as there is room for
	Sampler   sample.Sampler
	Seed      uint64 // of the draws: those of text i depend on Seed and i alone
	Stop      []int  // tokens that end a text, which are not part of it
	// Token is told of every new token of a text as it is drawn; an error ends
	// the generation. May be nil.
	Token func(text, id int) error
}

// Generate continues every prompt and returns the new tokens of each: one
// prompt repeated gives several samples. A text ends before a stop token or
// where the context is full. Canceling ctx ends the generation with its error.
// What was generated before an error is returned with it.
func (m *Model) Generate(ctx context.Context, prompts [][]int, o GenerateOptions) ([][]int, error) {
	longest := 0
	for _, p := range prompts {
		longest = max(longest, len(p))
	}
	if longest == 0 || longest > m.Context {
		return nil, errors.Errorf("gpt2: prompts of up to %d tokens, want 1 to %d", longest, m.Context)
	}
	capacity := m.Context
	if n := o.MaxTokens; n > 0 && n <= capacity-longest {
		capacity = longest + n - 1 // the last token is drawn, not decoded
	}
	d, err := m.NewDecoder(len(prompts), capacity)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Generate(ctx, prompts, o)
}

// Generate is Model.Generate by a decoder, which may be used again. A prompt
// for each of its texts is wanted; there is room for its capacity and one token
// more.
func (d *Decoder) Generate(ctx context.Context, prompts [][]int, o GenerateOptions) ([][]int, error) {
	if err := o.Sampler.Validate(); err != nil {
		return nil, err
	}
	if o.MaxTokens < 0 {
		return nil, errors.Errorf("gpt2: %d new tokens, want 0 or more", o.MaxTokens)
	}
	logits, err := d.Start(prompts)
	if err != nil {
		return nil, err
	}
	most := d.capacity - d.Past() + 1
	if o.MaxTokens > 0 {
		most = min(most, o.MaxTokens)
	}
	g := generation{GenerateOptions: o, texts: make([]text, len(prompts)), next: make([]int, len(prompts))}
	for i, p := range prompts {
		g.texts[i] = text{ids: append(make([]int, 0, len(p)+most), p...), rng: rand.New(rand.NewPCG(o.Seed, uint64(i)))}
	}
	for n := 1; err == nil; n++ {
		if err = errors.WithStack(ctx.Err()); err != nil {
			break
		}
		var going bool
		if going, err = g.draw(logits); err != nil || !going || n == most {
			break
		}
		logits, err = d.Next(g.next)
	}
	out := make([][]int, len(prompts))
	for i, t := range g.texts {
		out[i] = t.ids[len(prompts[i]):]
	}
	return out, err
}

// generation is the state of one call of Generate.
type generation struct {
	GenerateOptions
	texts []text
	next  []int // tokens to be decoded, of ended texts any
}

type text struct {
	ids  []int // prompt and new tokens
	rng  *rand.Rand
	over bool
}

// draw takes a token for each text that goes on and tells whether any does.
func (g *generation) draw(logits []float32) (going bool, err error) {
	V := len(logits) / len(g.texts)
	for i := range g.texts {
		t := &g.texts[i]
		if t.over {
			continue
		}
		id := g.Sampler.Next(logits[i*V:(i+1)*V], t.ids, t.rng)
		if id < 0 {
			return false, errors.Errorf("gpt2: text %d: no token is possible after %d, all logits are −Inf or NaN", i, len(t.ids))
		}
		if t.over = slices.Contains(g.Stop, id); t.over {
			continue
		}
		t.ids = append(t.ids, id)
		g.next[i] = id
		going = true
		if g.Token != nil {
			if err := g.Token(i, id); err != nil {
				return false, err
			}
		}
	}
	return going, nil
}
