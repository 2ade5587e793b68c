package dalle

import (
	"iter"
	"math/rand/v2"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/train/data"
)

// Pair is a text and the image it describes, as tokens.
type Pair struct {
	Text  []int // T at most
	Image []int // N
}

// Loader makes batches of pairs for a model: "text" (B, T) and "image" (B, N).
type Loader struct {
	Config    Config
	Pairs     []Pair
	BatchSize int
	Seed      uint64 // of the order, and of the texts left out
}

// StepsPerEpoch is the number of whole batches.
func (l *Loader) StepsPerEpoch() int {
	if l.BatchSize < 1 {
		return 0
	}
	return len(l.Pairs) / l.BatchSize
}

// Train yields the batches of a training run from the given step on, without
// end, in a new random order every epoch; each text is left out with
// probability TextDropout. A batch is a function of the seed and its step.
func (l *Loader) Train(from int) iter.Seq2[data.Minibatch, error] {
	return func(yield func(data.Minibatch, error) bool) {
		per := l.StepsPerEpoch()
		if per < 1 || from < 0 {
			yield(data.Minibatch{}, errors.Errorf("dalle: batches of %d of %d pairs from step %d, want at least one whole batch", l.BatchSize, len(l.Pairs), from))
			return
		}
		var order []int
		for step := from; ; step++ {
			epoch, first := step/per, step%per*l.BatchSize
			if order == nil || first == 0 {
				order = l.rng(forOrder, epoch).Perm(len(l.Pairs))
			}
			m, err := l.batch(order[first:first+l.BatchSize], l.rng(forDropout, step))
			m.Epoch, m.Step = epoch, step
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// What random numbers are drawn for.
const (
	forOrder = iota
	forDropout
)

func (l *Loader) rng(purpose, n int) *rand.Rand {
	return rand.New(rand.NewPCG(l.Seed, uint64(n)<<1|uint64(purpose)))
}

// Epoch yields every pair once, in order and with its text, the last batch being
// as short as it must.
func (l *Loader) Epoch() iter.Seq2[data.Minibatch, error] {
	return func(yield func(data.Minibatch, error) bool) {
		if l.BatchSize < 1 {
			yield(data.Minibatch{}, errors.Errorf("dalle: batches of %d pairs, want 1 or more", l.BatchSize))
			return
		}
		for lo := 0; lo < len(l.Pairs); lo += l.BatchSize {
			rows := make([]int, min(l.BatchSize, len(l.Pairs)-lo))
			for i := range rows {
				rows[i] = lo + i
			}
			m, err := l.batch(rows, nil)
			m.Step = lo / l.BatchSize
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// batch is the given pairs, with texts left out if there is a drop.
func (l *Loader) batch(rows []int, drop *rand.Rand) (data.Minibatch, error) {
	B, T, N := len(rows), l.Config.TextTokens, l.Config.ImageTokens
	texts, images := make([]float32, B*T), make([]float32, B*N)
	for i, row := range rows {
		p := l.Pairs[row]
		text := p.Text
		if drop != nil && drop.Float64() < l.Config.TextDropout {
			text = nil
		}
		if err := l.Config.FillText(texts[i*T:(i+1)*T], text); err != nil {
			return data.Minibatch{}, errors.Wrapf(err, "pair %d", row)
		}
		if len(p.Image) != N {
			return data.Minibatch{}, errors.Errorf("dalle: pair %d: %d image tokens, want %d", row, len(p.Image), N)
		}
		for j, id := range p.Image {
			images[i*N+j] = float32(id)
		}
	}
	return data.Minibatch{Index: rows, Batch: data.Batch{
		"text":  tensor.New(tensor.WithShape(B, T), tensor.WithBacking(texts)),
		"image": tensor.New(tensor.WithShape(B, N), tensor.WithBacking(images)),
	}}, nil
}
