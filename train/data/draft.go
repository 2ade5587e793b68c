package data

import (
	"slices"
	"sync/atomic"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// draft is a batch in preparation.
type draft struct {
	epoch, step int
	start       int // position in the epoch of the first row
	training    bool
	mixed       bool
	index       []int       // the example in each row; missing: none could be read
	values      [][]float32 // rows of each input
	skips       [][]*skip   // unreadable examples met by each row
	errs        []error     // by row: what ends the iteration
	err         error       // the same, of the batch as a whole
	left        atomic.Int64
	done        chan struct{} // closed when all rows are ready
}

const missing = -1

// skip is an example that cannot be read.
type skip struct {
	index int
	name  string
	err   error
}

func newDraft(epoch, step, start, n int) *draft {
	d := &draft{
		epoch: epoch, step: step, start: start,
		index: make([]int, n),
		skips: make([][]*skip, n),
		errs:  make([]error, n),
		done:  make(chan struct{}),
	}
	d.left.Store(int64(n))
	return d
}

// allocate sets aside the rows of each input.
func (d *draft) allocate(inputs []Input) {
	for k := range inputs {
		d.values = append(d.values, make([]float32, len(d.index)*inputs[k].rowSize()))
	}
}

// rowSize is the number of values an example has in a tensor.
func (in *Input) rowSize() int {
	n := 1
	for _, s := range in.Shape {
		n *= s
	}
	return n
}

// prepare makes row i ready. Whoever does so for the last row finishes the
// draft.
func (l *Loader) prepare(d *draft, i int) {
	d.errs[i] = l.fill(d, i)
	if d.left.Add(-1) > 0 {
		return
	}
	if d.err = firstError(d.errs); d.err == nil && d.training {
		// The values are shared with the tensors made later on.
		r := stream(l.Seed, forMix, uint64(d.step), 0)
		d.mixed, d.err = l.Mix.Apply(l.minibatch(d).Batch, r)
	}
	close(d.done)
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fill reads the example of row i, or in training the next that can be read,
// and has the inputs set their rows. The random numbers depend on the row's
// place in the epoch alone.
func (l *Loader) fill(d *draft, i int) error {
	ex, ok := l.read(d, i)
	if !ok {
		d.index[i] = missing
		return nil
	}
	r := stream(l.Seed, forExample, uint64(d.epoch), uint64(d.start+i))
	for k := range l.Inputs {
		in := &l.Inputs[k]
		n := in.rowSize()
		if err := in.Fill(ex, r, d.values[k][i*n:(i+1)*n:(i+1)*n]); err != nil {
			return errors.WithMessagef(err, "input %q of %s", in.Name, ex.Name)
		}
	}
	return nil
}

// read returns the example of row i and corrects d.index for skipped ones. It
// gives up when more are unreadable than may be: [Loader.settle] ends the
// iteration then.
func (l *Loader) read(d *draft, i int) (ex Example, ok bool) {
	for k := d.index[i]; ; k = (k + 1) % l.Dataset.Len() {
		bad, known := l.known.Load(k)
		if !known {
			ex, err := l.Dataset.Example(k)
			if err == nil {
				d.index[i] = k
				return ex, true
			}
			bad, _ = l.known.LoadOrStore(k, &skip{k, ex.Name, err})
		}
		d.skips[i] = append(d.skips[i], bad.(*skip))
		if !d.training || len(d.skips[i]) > l.tolerated() {
			return Example{}, false
		}
	}
}

// settle reports the skipped examples of a finished draft and returns what
// ends the iteration, if anything does. As it runs in the order of the batches,
// what it does is independent of the workers.
func (l *Loader) settle(d *draft) error {
	for _, bad := range slices.Concat(d.skips...) {
		news, err := l.count(bad)
		if news && l.OnSkip != nil {
			l.OnSkip(bad.name, bad.err)
		}
		if err != nil {
			return err
		}
	}
	return d.err
}

// count adds an unreadable example to the loader's, if it is news. The error
// says that there are too many.
func (l *Loader) count(bad *skip) (news bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.skipped == nil {
		l.skipped = map[int]bool{}
		l.first = bad
	}
	news = !l.skipped[bad.index]
	l.skipped[bad.index] = true
	if n, most := len(l.skipped), l.tolerated(); n > most {
		err = errors.WithMessagef(l.first.err, "data: %d of %d examples cannot be read, at most %d may fail; the first is %s",
			n, l.Dataset.Len(), most, l.first.name)
	}
	return news, err
}

// minibatch wraps the draft's values as tensors.
func (l *Loader) minibatch(d *draft) Minibatch {
	b := make(Batch, len(l.Inputs))
	for k, in := range l.Inputs {
		b[in.Name] = dense(d.values[k], len(d.index), in.Shape)
	}
	return Minibatch{Batch: b, Index: d.index, Mixed: d.mixed, Epoch: d.epoch, Step: d.step}
}

// dense wraps values as a tensor of B rows of the given shape.
func dense(values []float32, B int, shape []int) *tensor.Dense {
	return tensor.New(tensor.WithShape(append([]int{B}, shape...)...), tensor.WithBacking(values))
}

// collect returns an empty draft with room for a batch.
func (l *Loader) collect(step int) *draft {
	d := &draft{step: step}
	room := min(l.BatchSize, l.Dataset.Len())
	for k := range l.Inputs {
		d.values = append(d.values, make([]float32, 0, room*l.Inputs[k].rowSize()))
	}
	return d
}

// add appends a row of another draft.
func (d *draft) add(from *draft, row int) {
	for k, v := range from.values {
		n := len(v) / len(from.index)
		d.values[k] = append(d.values[k], v[row*n:(row+1)*n]...)
	}
	d.index = append(d.index, from.index[row])
}
