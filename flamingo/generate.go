package flamingo

import (
	"context"
	"math"
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
	Stop      []int  // tokens that end a text, besides the end of a chunk
	// Beams is the number of continuations that beam search follows; 0 or 1: none
	// but the one that is drawn. It draws nothing: of the sampler only the
	// repetition penalty counts.
	Beams int
	// LengthPenalty is p in the score of a continuation in beam search, the sum
	// of its log-probabilities divided by its length to the power p.
	LengthPenalty float64
	// Token is told of every new token of a text as it is drawn; an error ends
	// the generation. May be nil. Beam search does not call it.
	Token func(text, id int) error
}

func (o GenerateOptions) validate() error {
	if err := o.Sampler.Validate(); err != nil {
		return err
	}
	switch {
	case o.MaxTokens < 0:
		return errors.Errorf("flamingo: %d new tokens, want 0 or more", o.MaxTokens)
	case o.Beams < 0:
		return errors.Errorf("flamingo: %d beams, want 0 or more", o.Beams)
	case math.IsNaN(o.LengthPenalty) || math.IsInf(o.LengthPenalty, 0):
		return errors.Errorf("flamingo: length penalty is %g, want a number", o.LengthPenalty)
	}
	return nil
}

// Generate continues every prompt and returns the new tokens of each, without
// the token that ended it. Media tokens and padding are never drawn. Canceling
// ctx ends the generation with its error.
func (m *Model) Generate(ctx context.Context, prompts []Sequence, o GenerateOptions) ([][]int, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	longest, images := 0, 0
	for _, q := range prompts {
		longest, images = max(longest, len(q.IDs)), max(images, len(q.Images))
	}
	if longest == 0 || longest > m.Text.Context {
		return nil, errors.Errorf("flamingo: prompts of up to %d tokens, want 1 to %d", longest, m.Text.Context)
	}
	most := m.Text.Context - longest + 1 // the last token is drawn, not decoded
	if o.MaxTokens > 0 {
		most = min(most, o.MaxTokens)
	}
	beams := max(1, o.Beams)
	d, err := m.NewDecoder(len(prompts)*beams, images, longest+most-1)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var rows []Sequence
	for _, q := range prompts {
		rows = append(rows, slices.Repeat([]Sequence{q}, beams)...)
	}
	logits, err := d.Start(rows)
	if err != nil {
		return nil, err
	}
	g := generation{GenerateOptions: o, m: m, d: d, most: most}
	if beams > 1 {
		return g.search(ctx, prompts, logits)
	}
	return g.draw(ctx, prompts, logits)
}

// generation is the state of one call of Generate.
type generation struct {
	GenerateOptions
	m    *Model
	d    *Decoder
	most int // new tokens
}

// stops tells whether a token ends a text.
func (g *generation) stops(id int) bool { return id == g.m.EndChunk || slices.Contains(g.Stop, id) }

// ban makes the tokens impossible that are never drawn.
func (g *generation) ban(logits []float32) {
	V := g.m.Vocabulary()
	for _, id := range []int{g.m.Media, g.m.Padding} {
		for at := id; id >= 0 && at < len(logits); at += V {
			logits[at] = float32(math.Inf(-1))
		}
	}
}

// draw continues the texts token by token.
func (g *generation) draw(ctx context.Context, prompts []Sequence, logits []float32) ([][]int, error) {
	n, V := len(prompts), g.m.Vocabulary()
	out, ids, over := make([][]int, n), make([][]int, n), make([]bool, n)
	rngs, next := make([]*rand.Rand, n), make([]int, n)
	for i, q := range prompts {
		ids[i], out[i] = slices.Clone(q.IDs), []int{}
		rngs[i] = rand.New(rand.NewPCG(g.Seed, uint64(i)))
	}
	for taken := 1; ; taken++ {
		if err := ctx.Err(); err != nil {
			return out, errors.Wrapf(err, "flamingo: stopped after %d tokens", taken-1)
		}
		g.ban(logits)
		for i := range out {
			if over[i] {
				continue
			}
			id := g.Sampler.Next(logits[i*V:(i+1)*V], ids[i], rngs[i])
			if id < 0 {
				return out, errors.Errorf("flamingo: text %d: no token is possible after %d, all logits are −Inf or NaN", i, len(ids[i]))
			}
			if over[i] = g.stops(id); over[i] {
				continue // next keeps some token, which counts for nothing
			}
			ids[i], out[i], next[i] = append(ids[i], id), append(out[i], id), id
			if g.Token != nil {
				if err := g.Token(i, id); err != nil {
					return out, err
				}
			}
		}
		if taken == g.most || !slices.Contains(over, false) {
			return out, nil
		}
		var err error
		if logits, err = g.d.Next(next); err != nil {
			return out, err
		}
	}
}
