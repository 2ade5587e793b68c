package train

import (
	"context"
	"iter"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/train/data"
)

// Result is what an evaluation measured.
type Result struct {
	Count   int                // examples
	Metrics map[string]float64 // means over examples, by output
}

// Evaluate runs a graph over an epoch and averages its outputs of shape (1),
// each the mean of a batch, over all examples. build declares inputs and
// outputs for n examples; [Objective] is one. No batch may have more than
// batchSize examples; a graph is compiled for them and one for a shorter batch
// at the end. An epoch without examples is an error.
func Evaluate(ctx context.Context, build func(b *graph.Builder, n int), epoch iter.Seq2[data.Minibatch, error], batchSize int) (Result, error) {
	r := Result{Metrics: map[string]float64{}}
	var prog *graph.Program
	defer func() {
		if prog != nil {
			prog.Close()
		}
	}()
	var names []string
	size := 0 // of prog
	for m, err := range epoch {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return Result{}, errors.Wrapf(err, "evaluate: after %d examples", r.Count)
		}
		n := len(m.Index)
		switch {
		case n > batchSize:
			return Result{}, errors.Errorf("evaluate: a batch of %d examples, want at most %d", n, batchSize)
		case n == 0:
			continue
		case n != size:
			if prog != nil {
				prog.Close()
			}
			if prog, err = graph.Compile(func(b *graph.Builder) { build(b, n) }, nil); err != nil {
				return Result{}, errors.Wrap(err, "evaluate")
			}
			size = n
		}
		if err := prog.Run(m.Batch); err != nil {
			return Result{}, errors.Wrapf(err, "evaluate: after %d examples", r.Count)
		}
		if names == nil { // decided once: outputs of shape (n) look alike for n = 1
			names = scalars(prog)
		}
		for _, name := range names {
			r.Metrics[name] += float64(n) * prog.Scalar(name)
		}
		r.Count += n
	}
	if r.Count == 0 {
		return Result{}, errors.New("evaluate: there are no examples")
	}
	for name := range r.Metrics {
		r.Metrics[name] /= float64(r.Count)
	}
	return r, nil
}

// scalars lists the outputs of shape (1).
func scalars(prog *graph.Program) []string {
	names := []string{}
	for _, name := range prog.Outputs() {
		if s := prog.Output(name).Shape(); len(s) == 1 && s[0] == 1 {
			names = append(names, name)
		}
	}
	return names
}
