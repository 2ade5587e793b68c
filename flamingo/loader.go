package flamingo

import (
	"iter"
	"math/rand/v2"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// Loader makes the batches of an objective from sequences that are put together
// as they are needed.
type Loader struct {
	Objective
	N         int                                         // sequences of an epoch
	Sequence  func(i int, r *rand.Rand) (Sequence, error) // number i, with what chance decides
	BatchSize int
	Seed      uint64 // of the order and of chance
}

// StepsPerEpoch is the number of whole batches.
func (l *Loader) StepsPerEpoch() int {
	if l.BatchSize < 1 {
		return 0
	}
	return l.N / l.BatchSize
}

// Train yields the batches of a training run from the given step on, without
// end, in a new random order every epoch. A batch is a function of the seed and
// its step.
func (l *Loader) Train(from int) iter.Seq2[data.Minibatch, error] {
	return func(yield func(data.Minibatch, error) bool) {
		per := l.StepsPerEpoch()
		if per < 1 || from < 0 {
			yield(data.Minibatch{}, errors.Errorf("flamingo: batches of %d of %d sequences from step %d, want at least one whole batch", l.BatchSize, l.N, from))
			return
		}
		var order []int
		for step := from; ; step++ {
			epoch, first := step/per, step%per*l.BatchSize
			if order == nil || first == 0 {
				order = l.rng(forOrder, epoch).Perm(l.N)
			}
			m, err := l.batch(order[first:first+l.BatchSize], l.rng(forSequence, step))
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
	forSequence
	forEpoch
)

func (l *Loader) rng(purpose, n int) *rand.Rand {
	return rand.New(rand.NewPCG(l.Seed, uint64(n)<<2|uint64(purpose)))
}

// Epoch yields every sequence once, in order, the last batch being as short as
// it must.
func (l *Loader) Epoch() iter.Seq2[data.Minibatch, error] {
	return func(yield func(data.Minibatch, error) bool) {
		if l.BatchSize < 1 {
			yield(data.Minibatch{}, errors.Errorf("flamingo: batches of %d sequences, want 1 or more", l.BatchSize))
			return
		}
		for lo := 0; lo < l.N; lo += l.BatchSize {
			rows := make([]int, min(l.BatchSize, l.N-lo))
			for i := range rows {
				rows[i] = lo + i
			}
			m, err := l.batch(rows, l.rng(forEpoch, lo))
			m.Step = lo / l.BatchSize
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func (l *Loader) batch(rows []int, r *rand.Rand) (data.Minibatch, error) {
	sequences := make([]Sequence, len(rows))
	for i, row := range rows {
		var err error
		if sequences[i], err = l.Sequence(row, r); err != nil {
			return data.Minibatch{}, err
		}
	}
	in, err := l.Batch(sequences, l.Shape)
	return data.Minibatch{Index: rows, Batch: in}, err
}
