package train

import (
	"context"
	"iter"
	"math"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/train/data"
	"tessera/train/optim"
)

// Model is a network with a training objective.
type Model interface {
	Params() *graph.Params
	// Loss declares the inputs of a batch of n examples and returns the
	// scalar to minimize. Further outputs of shape (1) are metrics.
	Loss(b *graph.Builder, n int) *graph.Node
}

// Objective builds the loss of a model as the output "loss", for [Evaluate].
func Objective(m Model) func(b *graph.Builder, n int) {
	return func(b *graph.Builder, n int) { b.Output(lossName, m.Loss(b, n)) }
}

const lossName = "loss"

// Trainer minimizes a model's loss. Equal fields give equal weights, bit for
// bit, whether or not the run was interrupted and resumed.
type Trainer struct {
	Model     Model
	BatchSize int // examples of one micro-batch

	// Data yields the micro-batches of the run from the given one on, counted
	// from 0, as [data.Loader.Train] does.
	Data func(from int) iter.Seq2[data.Minibatch, error]

	Optimizer  *optim.AdamW
	Schedule   Schedule
	ClipNorm   float64             // largest norm of the gradient; 0: not clipped
	EMA        *optim.EMA          // averages of the weights; nil: none
	Steps      int                 // updates, those before a resumption included
	Accumulate int                 // micro-batches averaged per update; ≤ 1: one
	Seed       uint64              // of dropout
	After      func(*graph.Params) // follows every update, as a clamp does; nil: nothing
	Settings   map[string]string   // saved with checkpoints; must agree on resuming
	Gradients  Gradients           // in place of the gradients of Model.Loss; nil: those
	Hooks      []Hook              // run in order after every step

	done  int      // steps
	best  *float64 // metric of the best checkpoint
	last  string   // newest checkpoint
	first int      // examples seen before Run
	usage op.Usage
}

// Gradients computes the loss of a micro-batch and its gradients by the trained
// parameters in a way of its own, such as chunk by chunk. There are no metrics.
type Gradients interface {
	// SetStep chooses the random numbers of dropout for the next run.
	SetStep(step uint64)
	Run(batch graph.Values) (loss float64, err error)
	// Grads returns those of the last run, overwritten by the next.
	Grads() []graph.Grad
	// Usage tells the memory and the work of a run.
	Usage() op.Usage
}

// compiled is the program of a model's loss.
type compiled struct{ *graph.Program }

func (c compiled) Run(batch graph.Values) (loss float64, err error) {
	if err := c.Program.Run(batch); err != nil {
		return 0, err
	}
	return c.Scalar(lossName), nil
}

// Done is the number of steps done, from 0, those before a resumption included.
func (t *Trainer) Done() int { return t.done }

// Usage tells the memory and the work of a micro-batch, after Run began.
func (t *Trainer) Usage() op.Usage { return t.usage }

// Run trains until Steps are done, a hook returns [ErrStop], or ctx is
// cancelled. A cancelled run finishes its step with hooks and all, so that a
// checkpoint can be saved, and returns an error that wraps ctx.Err(). A loss or
// gradient that is not finite ends the run before it reaches the weights.
func (t *Trainer) Run(ctx context.Context) error {
	if err := t.validate(); err != nil {
		return err
	}
	if t.done >= t.Steps {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return errors.Wrapf(err, "train: interrupted after step %d", t.done)
	}
	source := t.Gradients
	if source == nil {
		prog, err := graph.Compile(func(b *graph.Builder) {
			loss := t.Model.Loss(b, t.BatchSize)
			b.Output(lossName, loss)
			b.Minimize(loss)
		}, &graph.Options{Training: true, Seed: t.Seed})
		if err != nil {
			return errors.Wrap(err, "train")
		}
		defer prog.Close()
		source = compiled{prog}
	}
	t.usage = source.Usage()
	next, stop := iter.Pull2(t.Data(t.done * t.micros()))
	defer stop()

	t.first = t.done * t.micros() * t.BatchSize
	grads := newAverage(t.micros())
	for t.done < t.Steps {
		s := &Step{N: t.done + 1, LR: t.Schedule(t.done), Trainer: t}
		if err := t.gradient(source, next, grads, s); err != nil {
			return errors.Wrapf(err, "train: step %d", s.N)
		}
		if err := t.update(grads.grads, s); err != nil {
			return errors.Wrapf(err, "train: step %d", s.N)
		}
		t.done = s.N

		// Noticed during the hooks, a cancellation waits for the next step:
		// some hooks may have run without knowing that this is the last.
		interrupted := ctx.Err()
		s.Last = s.N == t.Steps || interrupted != nil
		stopped, err := t.runHooks(s)
		switch {
		case err != nil:
			return errors.Wrapf(err, "train: step %d", s.N)
		case stopped:
			return nil
		case interrupted != nil && s.N < t.Steps:
			return errors.Wrapf(interrupted, "train: interrupted after step %d", s.N)
		}
	}
	return nil
}

// gradient runs the micro-batches of a step and averages what they give.
func (t *Trainer) gradient(source Gradients, next func() (data.Minibatch, error, bool), grads *average, s *Step) error {
	k := t.micros()
	clean := 0 // micro-batches that metrics have a meaning for
	s.Metrics = map[string]float64{}
	for micro := range k {
		m, err, ok := next()
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("the data ended; want batches without end")
		}
		source.SetStep(uint64((s.N-1)*k + micro))
		loss, err := source.Run(m.Batch)
		if err != nil {
			return err
		}
		s.Loss += loss / float64(k)
		if !m.Mixed {
			clean++
			if c, ok := source.(compiled); ok {
				for _, name := range scalars(c.Program) {
					s.Metrics[name] += c.Scalar(name)
				}
			}
		}
		grads.add(micro, source.Grads())
	}
	grads.finish()
	delete(s.Metrics, lossName)
	for name := range s.Metrics {
		s.Metrics[name] /= float64(clean)
	}
	s.Mixed = clean == 0
	s.Images = s.N * k * t.BatchSize
	return nil
}

// update applies the gradients, unless they would spoil the weights.
func (t *Trainer) update(grads []graph.Grad, s *Step) error {
	s.GradNorm = optim.Norm(grads)
	for _, v := range []struct {
		name  string
		value float64
	}{{"loss", s.Loss}, {"norm of the gradient", s.GradNorm}} {
		if math.IsNaN(v.value) || math.IsInf(v.value, 0) {
			last := t.last
			if last == "" {
				last = "none"
			}
			return errors.Errorf("%s is %v at learning rate %g; the weights are those before the step; last good checkpoint: %s",
				v.name, v.value, s.LR, last)
		}
	}
	scale := 1.0
	if t.ClipNorm > 0 && s.GradNorm > t.ClipNorm {
		scale = t.ClipNorm / s.GradNorm
	}
	if err := t.Optimizer.Step(s.LR, scale, grads); err != nil {
		return err
	}
	if t.After != nil {
		t.After(t.Model.Params())
	}
	if t.EMA != nil {
		return t.EMA.Update(t.Model.Params())
	}
	return nil
}

// runHooks runs the hooks in order. One that stops the run makes the step the
// last for those after it.
func (t *Trainer) runHooks(s *Step) (stopped bool, err error) {
	for _, h := range t.Hooks {
		err := h(s)
		switch {
		case errors.Is(err, ErrStop):
			stopped, s.Last = true, true
		case err != nil:
			return stopped, err
		}
	}
	return stopped, nil
}

// micros is the number of micro-batches of a step.
func (t *Trainer) micros() int { return max(t.Accumulate, 1) }

func (t *Trainer) validate() error {
	switch {
	case t.Model == nil, t.Data == nil, t.Optimizer == nil, t.Schedule == nil:
		return errors.New("train: Model, Data, Optimizer and Schedule must be set")
	case t.BatchSize < 1:
		return errors.Errorf("train: batch size is %d, want 1 or more", t.BatchSize)
	case t.Steps < 0:
		return errors.Errorf("train: %d steps, want 0 or more", t.Steps)
	case !(t.ClipNorm >= 0):
		return errors.Errorf("train: gradients clipped to norm %g, want 0 or more", t.ClipNorm)
	}
	return nil
}
