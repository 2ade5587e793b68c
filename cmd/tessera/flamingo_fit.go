package main

import (
	"context"
	"io"
	"math"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"tessera/graph"
	"tessera/train"
	"tessera/train/optim"
)

// fitting are the flags of a run that trains a model.
type fitting struct {
	out                           string
	steps, batch                  int
	lr, warmup, weightDecay, clip float64
	betas                         []float64
	seed                          uint64
	keep, saveEvery, evals        int
	resume                        bool
}

func (o *fitting) bind(f *pflag.FlagSet, what string, lr float64) {
	f.IntVar(&o.batch, "batch", 32, what+" of a batch")
	f.Float64Var(&o.lr, "lr", lr, "peak learning rate, which falls to 0 along half a cosine")
	f.Float64Var(&o.warmup, "warmup", 0.05, "share of the steps in which the learning rate rises")
	f.Float64Var(&o.weightDecay, "weight-decay", 0.1, "decoupled weight decay, of matrices")
	f.Float64SliceVar(&o.betas, "betas", []float64{0.9, 0.98}, "AdamW's decay of its two moments")
	f.Float64Var(&o.clip, "clip", 1, "largest norm of the gradient; 0: any")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	f.IntVar(&o.keep, "keep", 3, "newest checkpoints to keep; 0: all")
	f.IntVar(&o.saveEvery, "save-every", 500, "steps between checkpoints; 0: only the last")
	f.IntVar(&o.evals, "eval-every", 0, "steps between validations; 0: only at the end")
	f.BoolVar(&o.resume, "resume", false, "go on from the last checkpoint in --out; other flags may be left out")
}

// check reports the first value out of range.
func (o *fitting) check() error {
	for _, x := range []limited{
		{"steps", float64(o.steps), o.steps >= 1, "1 or more"},
		{"batch", float64(o.batch), o.batch >= 1, "1 or more"},
		{"lr", o.lr, o.lr > 0 && o.lr < 1e6, "more than 0"},
		{"warmup", o.warmup, o.warmup >= 0 && o.warmup <= 1, "0 to 1"},
		{"weight-decay", o.weightDecay, o.weightDecay >= 0 && o.weightDecay < 1e6, "0 or more"},
		{"clip", o.clip, o.clip >= 0, "0 or more"},
	} {
		if err := x.check(); err != nil {
			return err
		}
	}
	if len(o.betas) != 2 || !(o.betas[0] > 0 && o.betas[0] < 1 && o.betas[1] > 0 && o.betas[1] < 1) {
		return usagef("--betas is %v, want two numbers between 0 and 1", o.betas)
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

func (x limited) check() error {
	if x.ok {
		return nil
	}
	return usagef("--%s is %g, want %s", x.flag, x.value, x.want)
}

// prepare returns the checkpoint to go on from, taking up its flags, or "" for a
// new run into a folder that must be empty.
func (o *fitting) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	if o.out == "" {
		return "", usagef("--out is missing: name a folder for the results")
	}
	if o.resume {
		return goOn(f, o.out)
	}
	return "", wantEmpty(o.out)
}

// fit is a run: a trainer to be completed, and what surrounds it.
type fit struct {
	*fitting
	trainer  *train.Trainer
	save     func(dir string) error
	rate     func(*graph.Param) float64   // multiplies the learning rate; nil: 1
	validate func() (train.Result, error) // nil: no validation
	title    string                       // of its curves
	command  string                       // that goes on with the run
	stderr   io.Writer
	clock    func() time.Time
}

// run trains, from a checkpoint if there is one.
func (r *fit) run(ctx context.Context, checkpoint string) error {
	t := r.trainer
	t.BatchSize, t.Steps, t.Seed, t.ClipNorm = r.batch, r.steps, r.seed, r.clip
	t.Optimizer = &optim.AdamW{Beta1: r.betas[0], Beta2: r.betas[1], WeightDecay: r.weightDecay, Rate: r.rate}
	t.Schedule = train.WarmupCosine(r.lr, int(math.Round(r.warmup*float64(r.steps))), r.steps)
	err := runLogged(ctx, t, checkpoint, r.out, r.title, r.clock, func(lines *train.Log) []train.Hook {
		save := &train.Checkpoints{Dir: filepath.Join(r.out, "checkpoints"), Every: r.saveEvery, Keep: r.keep, Save: r.save}
		hooks := []train.Hook{save.Hook, lines.Hook, train.Progress(r.stderr, isTerminal(r.stderr), r.clock)}
		if r.validate != nil && r.evals > 0 {
			hooks = append([]train.Hook{train.Every(r.evals, train.Validate(r.validate))}, hooks...)
		}
		return hooks
	})
	if err != nil {
		return interrupted(err, t, r.command, r.out)
	}
	return nil
}
