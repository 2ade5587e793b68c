package data

import (
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/pkg/errors"
)

// Loader makes batches of a data set. The methods may be used by several
// goroutines at once; the fields stay as they are once it is in use.
type Loader struct {
	Dataset   Dataset
	Inputs    []Input // the tensors of a batch; for one example filled in this order
	BatchSize int     // examples, at least 1
	Seed      uint64
	Shuffle   bool // training visits the examples in a new random order every epoch
	Mix       Mix  // applied to training batches
	Workers   int  // goroutines that read and prepare examples; ≤ 0: GOMAXPROCS

	// OnSkip, if set, is told of every example that cannot be read, once, by
	// the goroutine that iterates and in the order of the batches. Its example
	// is not tried again.
	OnSkip func(name string, err error)

	mu      sync.Mutex
	skipped map[int]bool // reported examples
	first   *skip        // the first of them
	known   sync.Map     // index → *skip, so that a bad file is read once
}

// Input is one tensor of a batch and how an example fills its row.
type Input struct {
	Name  string // as the graph declares it
	Shape []int  // of one row: the tensor's without its first axis, B
	// Fill sets the row, zeros at first. It may be called by several
	// goroutines at once and draws its random numbers from r alone. Its errors
	// end the iteration: what cannot be read is for the data set to report.
	Fill func(ex Example, r *rand.Rand, row []float32) error
}

// Minibatch is a batch and where it comes from. Its tensors are used by nobody
// else and stay valid.
type Minibatch struct {
	Batch Batch
	Index []int // the example in each row
	Mixed bool  // rows are blends of examples: accuracy has no meaning
	Epoch int   // from 0
	Step  int   // from 0, over all epochs
}

// StepsPerEpoch is the number of whole batches in the data set.
func (l *Loader) StepsPerEpoch() int {
	if l.Dataset == nil || l.BatchSize < 1 {
		return 0
	}
	return l.Dataset.Len() / l.BatchSize
}

// Train yields the batches of a training run from the given step on, without
// end: epoch follows epoch, and the examples left over at the end of one do not
// make a batch. A batch is a function of the seed and its step.
//
// An example that cannot be read is replaced by the next readable one of the
// data set. The iteration ends with an error when more than 1 % of the data set
// has turned out unreadable, though one example always may.
func (l *Loader) Train(from int) iter.Seq2[Minibatch, error] {
	return func(yield func(Minibatch, error) bool) {
		if err := l.validateTraining(from); err != nil {
			yield(Minibatch{}, err)
			return
		}
		for d := range l.prefetch(l.training(from)) {
			if err := l.settle(d); err != nil {
				yield(Minibatch{}, err)
				return
			}
			if !yield(l.minibatch(d), nil) {
				return
			}
		}
	}
}

// training plans the drafts of Train.
func (l *Loader) training(from int) iter.Seq[*draft] {
	return func(yield func(*draft) bool) {
		n, per := l.Dataset.Len(), l.StepsPerEpoch()
		var order []int
		for step := from; ; step++ {
			epoch, start := step/per, step%per*l.BatchSize
			if l.Shuffle && (order == nil || start == 0) {
				order = stream(l.Seed, forOrder, uint64(epoch), 0).Perm(n)
			}
			d := newDraft(epoch, step, start, l.BatchSize)
			d.training = true
			for row := range d.index {
				d.index[row] = start + row
				if l.Shuffle {
					d.index[row] = order[start+row]
				}
			}
			if !yield(d) {
				return
			}
		}
	}
}

// Epoch yields every example once, in order and unmixed, the last batch being
// as short as it must. Examples that cannot be read are left out; too many of
// them are an error as in [Loader.Train].
func (l *Loader) Epoch() iter.Seq2[Minibatch, error] {
	return func(yield func(Minibatch, error) bool) {
		if err := l.validate(); err != nil {
			yield(Minibatch{}, err)
			return
		}
		step := 0
		next := l.collect(step)
		for d := range l.prefetch(l.onePass()) {
			if err := l.settle(d); err != nil {
				yield(Minibatch{}, err)
				return
			}
			for row, i := range d.index {
				if i == missing {
					continue
				}
				if next.add(d, row); len(next.index) < l.BatchSize {
					continue
				}
				if !yield(l.minibatch(next), nil) {
					return
				}
				step++
				next = l.collect(step)
			}
		}
		if len(next.index) > 0 {
			yield(l.minibatch(next), nil)
		}
	}
}

// onePass plans the drafts of Epoch.
func (l *Loader) onePass() iter.Seq[*draft] {
	return func(yield func(*draft) bool) {
		n := l.Dataset.Len()
		for start := 0; start < n; start += l.BatchSize {
			d := newDraft(0, start/l.BatchSize, start, min(l.BatchSize, n-start))
			for row := range d.index {
				d.index[row] = start + row
			}
			if !yield(d) {
				return
			}
		}
	}
}

// Skipped is the number of examples found unreadable so far.
func (l *Loader) Skipped() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.skipped)
}

// tolerated is the number of unreadable examples that is not an error yet.
func (l *Loader) tolerated() int {
	n := l.Dataset.Len()
	return min(max(n/100, 1), n-1)
}

func (l *Loader) workers() int {
	if l.Workers > 0 {
		return l.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func (l *Loader) validate() error {
	if l.Dataset == nil {
		return errors.New("data: loader has no data set")
	}
	if l.Dataset.Len() == 0 {
		return errors.New("data: the data set is empty")
	}
	if l.BatchSize < 1 {
		return errors.Errorf("data: batch size is %d, want 1 or more", l.BatchSize)
	}
	seen := map[string]bool{}
	for _, in := range l.Inputs {
		switch {
		case in.Name == "" || in.Fill == nil:
			return errors.Errorf("data: input %q lacks a name or the function that fills it", in.Name)
		case seen[in.Name]:
			return errors.Errorf("data: two inputs are called %q", in.Name)
		}
		for _, n := range in.Shape {
			if n < 1 {
				return errors.Errorf("data: input %q has shape %v, want sizes of 1 or more", in.Name, in.Shape)
			}
		}
		seen[in.Name] = true
	}
	if len(l.Inputs) == 0 {
		return errors.New("data: loader has no inputs to fill")
	}
	return nil
}

func (l *Loader) validateTraining(from int) error {
	if err := l.validate(); err != nil {
		return err
	}
	if from < 0 {
		return errors.Errorf("data: training from step %d, want 0 or more", from)
	}
	if n := l.Dataset.Len(); l.BatchSize > n {
		return errors.Errorf("data: batch size %d exceeds the data set's %d examples", l.BatchSize, n)
	}
	return l.Mix.Validate()
}
