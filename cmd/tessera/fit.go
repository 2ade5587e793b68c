package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tessera/train"
	"tessera/train/optim"
)

// fit is a run: a trainer to be completed, and what surrounds it.
type fit struct {
	*fitting
	trainer  *train.Trainer
	epoch    int // steps; 0: there are no epochs
	save     func(dir string) error
	adapt    func(*optim.AdamW)                          // nil: no
	validate func(context.Context) (train.Result, error) // nil: no validation
	best     string                                      // metric of validation that chooses a checkpoint; "": none
	title    string                                      // of its curves
	again    string                                      // how to go on with a run that was interrupted
	stderr   io.Writer
	clock    func() time.Time
	start    time.Time
	took     time.Duration // to the end of training
}

// newFit begins a run of a command.
func newFit(cmd *cobra.Command, o *fitting, title string) *fit {
	return &fit{
		fitting: o, trainer: &train.Trainer{Settings: fingerprint(cmd.Flags())}, title: title,
		again:  fmt.Sprintf("go on with %s --out %s --resume", cmd.CommandPath(), o.out),
		stderr: cmd.ErrOrStderr(), clock: time.Now, start: time.Now(),
	}
}

// length is the number of steps in all.
func (r *fit) length() int {
	if r.steps > 0 {
		return r.steps
	}
	return max(1, r.epochs*r.epoch)
}

// warm is the number of steps in which the learning rate rises.
func (r *fit) warm() int { return int(math.Round(r.warmup * float64(r.length()))) }

// complete sets what the trainer lacks.
func (r *fit) complete() {
	t := r.trainer
	t.BatchSize, t.Steps, t.Seed, t.ClipNorm = r.batch, r.length(), r.seed, r.clip
	a := &optim.AdamW{Beta1: r.betas[0], Beta2: r.betas[1], WeightDecay: r.weightDecay}
	if r.adapt != nil {
		r.adapt(a)
	}
	t.Optimizer = a
	if t.Schedule == nil {
		t.Schedule = train.WarmupCosine(r.lr, r.warm(), t.Steps)
	}
}

// run trains, from a checkpoint unless it is "", and leaves the log of the whole
// run and its curves in the folder of the results, and averaged weights, if there
// are such, in the model. A dry run is only tried and told.
func (r *fit) run(ctx context.Context, checkpoint string) error {
	r.complete()
	err := r.logged(ctx, checkpoint)
	t := r.trainer
	if errors.Is(err, context.Canceled) && t.Done() > 0 {
		return errors.Errorf("interrupted after step %d of %d: %s", t.Done(), t.Steps, r.again)
	}
	if err == nil && t.EMA != nil {
		err = t.EMA.Swap(t.Model.Params())
	}
	r.took = r.clock().Sub(r.start)
	return err
}

func (r *fit) logged(ctx context.Context, checkpoint string) error {
	t := r.trainer
	if checkpoint != "" {
		if err := t.Resume(checkpoint); err != nil {
			return err
		}
	}
	if w := dryRun(ctx); w != nil {
		return rehearse(ctx, t, w, r.clock)
	}
	if err := os.MkdirAll(r.out, 0o777); err != nil {
		return errors.Wrapf(err, "--out %s", r.out)
	}
	log := filepath.Join(r.out, "metrics.jsonl")
	lines, err := train.OpenLog(log, t.Done(), r.clock)
	if err != nil {
		return err
	}
	defer lines.Close()
	t.Hooks = r.hooks(ctx, lines)
	if err := t.Run(ctx); err != nil {
		return err
	}
	if err := lines.Close(); err != nil {
		return err
	}
	records, err := train.ReadMetrics(log)
	if err != nil || len(records) == 0 { // none: all steps were done before
		return err
	}
	return train.PlotCurves(filepath.Join(r.out, "curves.svg"), r.title, records)
}

// hooks are what happens after a step, in order: validation, checkpoint, log,
// progress.
func (r *fit) hooks(ctx context.Context, lines *train.Log) []train.Hook {
	every := func(n int) int {
		if n > 0 {
			return n
		}
		return r.epoch
	}
	save := &train.Checkpoints{Dir: filepath.Join(r.out, "checkpoints"), Every: every(r.saveEvery), Keep: r.keep, Save: r.save}
	var hooks []train.Hook
	if n := every(r.evals); r.validate != nil && n > 0 {
		save.Best = r.best
		validate := train.Validate(func() (train.Result, error) { return r.averaged(context.WithoutCancel(ctx)) })
		hooks = append(hooks, func(s *train.Step) error {
			// Last would also be true of a step that is interrupted.
			if s.N%n != 0 && s.N != s.Trainer.Steps {
				return nil
			}
			return validate(s)
		})
	}
	return append(hooks, save.Hook, lines.Hook, train.Progress(r.stderr, isTerminal(r.stderr), r.clock))
}

// averaged validates with averaged weights where there are such.
func (r *fit) averaged(ctx context.Context) (result train.Result, err error) {
	if ema := r.trainer.EMA; ema != nil {
		all := r.trainer.Model.Params()
		if err := ema.Swap(all); err != nil {
			return result, err
		}
		defer func() {
			if back := ema.Swap(all); err == nil {
				err = back
			}
		}()
	}
	return r.validate(ctx)
}

// tell writes what all runs report at the end.
func (r *fit) tell(w io.Writer) {
	fmt.Fprintf(w, "steps\t%s\n", thousands(r.trainer.Done()))
	fmt.Fprintf(w, "seconds\t%.1f\n", r.took.Seconds())
	fmt.Fprintf(w, "model\t%s\n", r.out)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
