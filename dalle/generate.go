package dalle

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/pkg/errors"

	"tessera/layers/sample"
)

// GenerateOptions say how images are drawn.
type GenerateOptions struct {
	Sampler sample.Sampler
	// Guidance is the scale s of classifier-free guidance (arXiv:2207.12598):
	// tokens are drawn by u + s·(c − u), of the scores c with the text and u
	// without. 0, like 1, is none. The model must have been trained with
	// TextDropout.
	Guidance float64
	Seed     uint64  // of the draws: those of image i depend on Seed and i alone
	Images   [][]int // tokens that images begin with, equally many; nil: none
	// Token is told of the tokens of all images at a place, one after another;
	// an error ends the generation. May be nil. It must not keep ids.
	Token func(place int, ids []int) error
}

// Generate draws an image for every text, N tokens each, given ones included:
// one text repeated gives several samples. Canceling ctx ends the generation
// with its error.
func (m *Model) Generate(ctx context.Context, texts [][]int, o GenerateOptions) ([][]int, error) {
	if len(texts) == 0 {
		return nil, errors.New("dalle: no texts")
	}
	if err := o.validate(m.Config); err != nil {
		return nil, err
	}
	d, err := m.NewDecoder(o.rows(len(texts)))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.generate(ctx, texts, o)
}

func (o GenerateOptions) guided() bool { return o.Guidance != 0 && o.Guidance != 1 }

// rows is the number of rows of a decoder of n images: with guidance, each has
// another one without the text.
func (o GenerateOptions) rows(n int) int {
	if o.guided() {
		return 2 * n
	}
	return n
}

func (o GenerateOptions) validate(c Config) error {
	if err := o.Sampler.Validate(); err != nil {
		return err
	}
	if !(o.Guidance >= 0) || math.IsInf(o.Guidance, 1) {
		return errors.Errorf("dalle: guidance scale is %g, want 0 or more", o.Guidance)
	}
	if o.guided() && c.Padding == NoPadding {
		return errors.Errorf("dalle: guidance scale is %g, but a model without padding knows no empty text", o.Guidance)
	}
	return nil
}

// generate is Generate by a decoder of as many rows as the options want.
func (d *Decoder) generate(ctx context.Context, texts [][]int, o GenerateOptions) ([][]int, error) {
	n, N := len(texts), d.m.ImageTokens
	begin := o.Images
	if o.guided() {
		texts = append(texts[:n:n], make([][]int, n)...)
		if begin != nil {
			begin = append(begin[:len(begin):len(begin)], begin...)
		}
	}
	logits, err := d.Start(texts, begin)
	if err != nil {
		return nil, err
	}
	out, rngs := make([][]int, n), make([]*rand.Rand, n)
	for i := range out {
		rngs[i] = rand.New(rand.NewPCG(o.Seed, uint64(i)))
		out[i] = make([]int, 0, N)
		if begin != nil {
			out[i] = append(out[i], begin[i]...)
		}
	}
	next := make([]int, d.batch)
	V := d.m.ImageVocab
	for place := d.Past(); ; place++ {
		if err := ctx.Err(); err != nil {
			return nil, errors.Wrapf(err, "dalle: stopped after %d of %d tokens", place, N)
		}
		for i := range out {
			scores := logits[i*V : (i+1)*V]
			if o.guided() {
				sample.Guide(scores, scores, logits[(n+i)*V:(n+i+1)*V], float32(o.Guidance))
			}
			id := o.Sampler.Next(scores, out[i], rngs[i])
			if id < 0 {
				return nil, errors.Errorf("dalle: image %d: no token is possible at place %d, all scores are −Inf or NaN", i, place)
			}
			out[i] = append(out[i], id)
			next[i] = id
			if o.guided() {
				next[n+i] = id
			}
		}
		if o.Token != nil {
			if err := o.Token(place, next[:n]); err != nil {
				return nil, err
			}
		}
		if place == N-1 {
			return out, nil
		}
		if logits, err = d.Next(next); err != nil {
			return nil, err
		}
	}
}
