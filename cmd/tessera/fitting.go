package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
	"github.com/spf13/pflag"

	"tessera/train"
)

// fitting are the flags of a run that trains a model.
type fitting struct {
	out                           string
	epochs, steps, batch          int
	lr, warmup, weightDecay, clip float64
	betas                         []float64
	seed                          uint64
	keep, saveEvery, evals        int
	resume                        bool
}

// bindOut binds the flag of the folder of the results.
func (o *fitting) bindOut(f *pflag.FlagSet) {
	f.StringVar(&o.out, "out", "", "folder of the results, new or empty")
}

// bindLength binds the flags of how long a run is.
func (o *fitting) bindLength(f *pflag.FlagSet) {
	note := ""
	if o.epochs == 0 {
		note = " (default by data set)"
	}
	f.IntVar(&o.epochs, "epochs", o.epochs, "passes over the training images"+note)
	f.IntVar(&o.steps, "steps", 0, "optimizer steps, instead of epochs")
}

// bind binds the flags but those. Their defaults are what o has; batch says what is
// in one, and period when checkpoints and validations come unless that is said.
func (o *fitting) bind(f *pflag.FlagSet, batch, period string) {
	f.IntVar(&o.batch, "batch", o.batch, batch)
	f.Float64Var(&o.lr, "lr", o.lr, "peak learning rate")
	f.Float64Var(&o.warmup, "warmup", o.warmup, "share of the steps in which the learning rate rises")
	f.Float64Var(&o.weightDecay, "weight-decay", o.weightDecay, "decoupled weight decay, not of biases and norms")
	f.Float64SliceVar(&o.betas, "betas", o.betas, "AdamW's decay of its two moments")
	f.Float64Var(&o.clip, "clip", 1, "largest norm of the gradient; 0: any")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	f.IntVar(&o.keep, "keep", 3, "newest checkpoints to keep; 0: all")
	f.IntVar(&o.saveEvery, "save-every", o.saveEvery, "steps between checkpoints; 0: "+period)
	f.IntVar(&o.evals, "eval-every", 0, "steps between validations; 0: "+period)
	f.BoolVar(&o.resume, "resume", false, "go on from the last checkpoint in --out; other flags may be left out")
}

// bindWorkers binds the flag of those who prepare images.
func bindWorkers(f *pflag.FlagSet, workers *int) {
	f.IntVar(workers, "workers", 0, "goroutines that prepare images, without effect on the result; 0: one for each processor")
}

// bindVal binds the flag of the share for validation; what names the data of which
// there is one unless another is given.
func bindVal(f *pflag.FlagSet, val *float64, what string) {
	f.Float64Var(val, "val", -1, "share of the training images held out for validation where the data has no such part; -1: 0.1 for "+what+", else 0")
}

// check reports the first value out of range.
func (o *fitting) check() error {
	err := within(
		limited{"epochs", float64(o.epochs), o.epochs >= 0, "0 or more"},
		limited{"steps", float64(o.steps), o.steps >= 0, "0 or more"},
		limited{"batch", float64(o.batch), o.batch >= 1, "1 or more"},
		limited{"lr", o.lr, o.lr > 0 && o.lr < 1e6, "more than 0"},
		limited{"warmup", o.warmup, o.warmup >= 0 && o.warmup <= 1, "0 to 1"},
		limited{"weight-decay", o.weightDecay, o.weightDecay >= 0 && o.weightDecay < 1e6, "0 or more"},
		limited{"clip", o.clip, o.clip >= 0, "0 or more"},
	)
	switch {
	case err != nil:
		return err
	case len(o.betas) != 2 || !(o.betas[0] > 0 && o.betas[0] < 1 && o.betas[1] > 0 && o.betas[1] < 1):
		return usagef("--betas is %v, want two numbers between 0 and 1", o.betas)
	case o.epochs == 0 && o.steps == 0:
		return usagef("--epochs and --steps are both 0")
	}
	return nil
}

// limited is a flag with what it may be.
type limited struct {
	flag  string
	value float64
	ok    bool
	want  string
}

// valShare is the flag that bindVal binds.
func valShare(v float64) limited {
	return limited{"val", v, v == -1 || v >= 0 && v < 1, "at least 0 and less than 1"}
}

// aProbability is a flag for one that is not 1.
func aProbability(flag string, p float64) limited {
	return limited{flag, p, p >= 0 && p < 1, "at least 0 and less than 1"}
}

// within reports the first flag out of range.
func within(flags ...limited) error {
	for _, x := range flags {
		if !x.ok {
			return usagef("--%s is %g, want %s", x.flag, x.value, x.want)
		}
	}
	return nil
}

// prepare completes the flags, those of a run to go on with from the checkpoint
// that it returns, those of a new one by complete. The folder of a new one must
// be empty.
func (o *fitting) prepare(f *pflag.FlagSet, complete, check func() error) (checkpoint string, err error) {
	if o.out == "" {
		return "", usagef("--out is missing: name a folder for the results")
	}
	if o.resume {
		if checkpoint, err = goOn(f, o.out); err != nil {
			return "", err
		}
		return checkpoint, check()
	}
	if err := complete(); err != nil {
		return "", err
	}
	if err := check(); err != nil {
		return "", err
	}
	return "", wantEmpty(o.out)
}

// suit gives flags that were not given what suits the data set.
func suit(f *pflag.FlagSet, spec string, defaults map[string]map[string]string) error {
	if spec == "" {
		return usagef("--data is missing, want %s or a folder", dataForms)
	}
	d, err := parseDataSpec(spec)
	if err != nil {
		return err
	}
	return setDefaults(f, d.suited(defaults))
}

// lastCheckpoint is the one in the folder out from which a run goes on.
func lastCheckpoint(out string) (string, error) {
	dir := filepath.Join(out, "checkpoints")
	checkpoint, ok, err := train.Latest(dir)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errors.Errorf("there is no checkpoint in %s to resume from: remove the folder and start anew without --resume", dir)
	}
	return checkpoint, nil
}

// goOn finds the last checkpoint in the folder out and gives flags the values
// of its run.
func goOn(f *pflag.FlagSet, out string) (checkpoint string, err error) {
	if checkpoint, err = lastCheckpoint(out); err != nil {
		return "", err
	}
	return checkpoint, takeUp(f, checkpoint)
}

// wantEmpty rejects a folder for a new run that holds something.
func wantEmpty(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Wrapf(err, "--out %s", out)
	}
	if len(entries) > 0 {
		return errors.Errorf("--out %s is not empty: choose another folder, or go on with the run in it with --resume", out)
	}
	return nil
}
