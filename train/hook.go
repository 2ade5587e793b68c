package train

import "github.com/pkg/errors"

// Step is what a step of training did, for hooks.
type Step struct {
	N        int                // steps done, from 1
	Loss     float64            // mean over the step's examples, before the update
	LR       float64            // learning rate
	GradNorm float64            // before clipping
	Metrics  map[string]float64 // further outputs, without those of mixed batches
	Mixed    bool               // all batches were mixed: the model reported no metrics
	Images   int                // examples seen since step 1
	Last     bool               // no step follows: time to save
	Trainer  *Trainer
}

// Hook is called after every step. An error ends the run; [ErrStop] ends it
// well, after the remaining hooks of the step.
type Hook func(*Step) error

// ErrStop is returned by a hook to end the run without an error.
var ErrStop = errors.New("train: stopped by a hook")

// Every runs a hook after the steps that n divides, and no others, so that what
// it does is independent of where a run was interrupted. n < 1 means never.
func Every(n int, h Hook) Hook {
	return func(s *Step) error {
		if n < 1 || s.N%n != 0 {
			return nil
		}
		return h(s)
	}
}

// Validate adds what evaluate measures to the metrics of the step, for the
// hooks after it: "accuracy" as "val_accuracy". An evaluate that gave up when
// the run is interrupted would be missing from the resumed run; let it finish
// (see [context.WithoutCancel]).
func Validate(evaluate func() (Result, error)) Hook {
	return func(s *Step) error {
		r, err := evaluate()
		if err != nil {
			return errors.Wrap(err, "validation")
		}
		for name, v := range r.Metrics {
			s.Metrics["val_"+name] = v
		}
		return nil
	}
}
