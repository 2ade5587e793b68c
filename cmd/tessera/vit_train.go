package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
	"tessera/vit"
)

func newViTTrain() *cobra.Command {
	var o vitSettings
	cmd := &cobra.Command{
		Use:   "train --data SPEC --out DIR",
		Short: "Train or fine-tune a classifier",
		Long: `Train a Vision Transformer, or fine-tune one with --init.

The data is "shapes", which is drawn as it is needed and learned in about a
minute and a half on two cores, a known data set in a folder (fashion-mnist:DIR,
mnist:DIR, cifar10:DIR), or a folder of images with a sub-folder for each class,
below train, val and test or directly.

DIR receives the model (config.json, model.safetensors,
preprocessor_config.json), metrics.jsonl, curves.svg and, in checkpoints, what
--resume needs. Where there are images for validation, checkpoints/best is the
checkpoint that did best on them. Test images are used once, at the end.`,
		Example: `  tessera vit train --data shapes --out runs/shapes
  tessera vit train --data fashion-mnist:data/fashion --out runs/fashion
  tessera vit train --data photos --out runs/photos --init vit-base --freeze 'vit.*'
  tessera vit train --out runs/shapes --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return trainViT(cmd, &o)
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

func trainViT(cmd *cobra.Command, o *vitSettings) error {
	checkpoint, err := o.prepare(cmd.Flags())
	if err != nil {
		return err
	}
	r := &vitRun{
		vitSettings: o, settings: fingerprint(cmd.Flags()), log: logger(cmd),
		stderr: cmd.ErrOrStderr(), clock: time.Now,
	}
	start := r.clock()
	if err := r.open(checkpoint); err != nil {
		return err
	}
	if err := r.train(cmd.Context(), checkpoint); err != nil {
		return interrupted(err, r.trainer, "tessera vit train", o.out)
	}
	return r.finish(cmd.Context(), cmd.OutOrStdout(), start)
}

// prepare completes and checks the flags and makes the folder of the run. It
// returns the checkpoint to go on from, or "".
func (o *vitSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	if o.out == "" {
		return "", usagef("--out is missing: name a folder for the results")
	}
	if o.resume {
		if checkpoint, err = goOn(f, o.out); err != nil {
			return "", err
		}
	} else {
		if o.data == "" {
			return "", usagef("--data is missing, want %s or a folder", dataForms)
		}
		if o.init != "" && f.Changed("preset") {
			return "", usagef("--init and --preset exclude each other: the checkpoint has its own size")
		}
		spec, err := parseDataSpec(o.data)
		if err != nil {
			return "", err
		}
		if err := setDefaults(f, dataDefaults[spec.kind]); err != nil {
			return "", err
		}
	}
	if err := o.check(); err != nil {
		return "", err
	}
	if o.resume {
		return checkpoint, nil
	}
	return "", wantEmpty(o.out)
}

// vitRun is a training run.
type vitRun struct {
	*vitSettings
	settings map[string]string
	log      *slog.Logger
	stderr   io.Writer
	clock    func() time.Time

	parts splits
	*classifier
	loader  *data.Loader
	trainer *train.Trainer
}

// open reads the data and makes the model, or loads that of a checkpoint.
func (r *vitRun) open(checkpoint string) error {
	var c vit.Config
	var err error
	if checkpoint == "" {
		c, err = r.config()
	} else if r.classifier, err = loadClassifier(checkpoint, vit.LoadOptions{}, r.log); err == nil {
		c = r.Config
	}
	if err != nil {
		return err
	}
	spec, err := parseDataSpec(r.data)
	if err != nil {
		return err
	}
	if r.parts, err = spec.open(c.ImageSize, r.val, r.seed); err != nil {
		return err
	}
	if n := r.parts.train.Len(); r.batch > n {
		return usagef("--batch %d exceeds the %d training images: choose a smaller one", r.batch, n)
	}
	if checkpoint == "" {
		if r.classifier, err = r.start(c, r.parts.train.Classes(), r.log); err != nil {
			return err
		}
	} else if own := labels(c); !slices.Equal(own, r.parts.train.Classes()) {
		return errors.Errorf("--data %s has the classes %s, but those in the run to resume are %s",
			r.data, abridge(r.parts.train.Classes(), 5), abridge(own, 5))
	}
	return freeze(r.Params(), r.freeze)
}

// train runs the training, from a checkpoint if there is one.
func (r *vitRun) train(ctx context.Context, checkpoint string) error {
	augment, err := augmentation(r.augment, r.erase, r.ImageSize)
	if err != nil {
		return err
	}
	r.loader = r.load(r.parts.train, augment, r.smoothing)
	r.loader.Shuffle = true
	if r.mixup > 0 || r.cutmix > 0 {
		r.loader.Mix = data.Mix{Prob: r.mixProb, Mixup: r.mixup, CutMix: r.cutmix}
	}
	epoch := max(1, r.loader.StepsPerEpoch()/r.accumulate)
	steps := r.steps
	if steps == 0 {
		steps = max(1, r.epochs*r.loader.StepsPerEpoch()/r.accumulate)
	}
	r.trainer = &train.Trainer{
		Model: r.Model, BatchSize: r.batch, Data: r.loader.Train,
		Optimizer: r.optimizer(), Schedule: r.rates(steps), ClipNorm: r.clip,
		Steps: steps, Accumulate: r.accumulate, Seed: r.seed, Settings: r.settings,
	}
	if r.ema > 0 {
		r.trainer.EMA = &optim.EMA{Decay: r.ema}
	}
	return runLogged(ctx, r.trainer, checkpoint, r.out, "ViT on "+r.data, r.clock, func(lines *train.Log) []train.Hook {
		return r.hooks(ctx, lines, epoch)
	})
}

func (r *vitRun) optimizer() *optim.AdamW {
	a := &optim.AdamW{Beta1: r.betas[0], Beta2: r.betas[1], WeightDecay: r.weightDecay}
	if r.decayAll {
		a.Decays = optim.All
	}
	if r.layerDecay < 1 {
		a.Rate = optim.LayerDecay(r.layerDecay, r.Layers+1, depthOf(r.Layers))
	}
	return a
}

func (r *vitRun) rates(steps int) train.Schedule {
	warmup := int(math.Round(r.warmup * float64(steps)))
	switch r.schedule {
	case "constant":
		return train.Constant(r.lr, warmup)
	case "cooldown":
		return train.ConstantCooldown(r.lr, warmup, steps/5, steps)
	}
	return train.WarmupCosine(r.lr, warmup, steps)
}

// hooks are what happens after a step, in order: validation, checkpoint, log,
// progress.
func (r *vitRun) hooks(ctx context.Context, lines *train.Log, epoch int) []train.Hook {
	every := func(n int) int {
		if n > 0 {
			return n
		}
		return epoch
	}
	save := &train.Checkpoints{
		Dir: filepath.Join(r.out, "checkpoints"), Every: every(r.saveEvery), Keep: r.keep, Save: r.save,
	}
	var hooks []train.Hook
	if r.parts.val != nil {
		save.Best = "val_accuracy"
		validate := train.Validate(func() (train.Result, error) {
			return r.averaged(func() (train.Result, error) {
				return r.measure(context.WithoutCancel(ctx), r.parts.val)
			})
		})
		hooks = append(hooks, func(s *train.Step) error {
			// Last would also be true of a step that is interrupted.
			if s.N%every(r.evalEvery) != 0 && s.N != s.Trainer.Steps {
				return nil
			}
			return validate(s)
		})
	}
	return append(hooks, save.Hook, lines.Hook, train.Progress(r.stderr, isTerminal(r.stderr), r.clock))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// averaged evaluates with averaged weights where there are such.
func (r *vitRun) averaged(evaluate func() (train.Result, error)) (train.Result, error) {
	if r.trainer.EMA == nil {
		return evaluate()
	}
	if err := r.trainer.EMA.Swap(r.Params()); err != nil {
		return train.Result{}, err
	}
	result, err := evaluate()
	if back := r.trainer.EMA.Swap(r.Params()); err == nil {
		err = back
	}
	return result, err
}

// measure evaluates the model on a data set.
func (r *vitRun) measure(ctx context.Context, ds data.Dataset) (train.Result, error) {
	l := r.load(ds, nil, 0)
	return train.Evaluate(ctx, train.Objective(r.Model), l.Epoch(), l.BatchSize)
}

// load makes the batches of a data set.
func (r *vitRun) load(ds data.Dataset, augment data.Augment, smoothing float64) *data.Loader {
	return &data.Loader{
		Dataset: ds, BatchSize: r.batch, Seed: r.seed, Workers: r.workers,
		Inputs: []data.Input{data.Images(r.input, augment), data.Labels(r.Classes(), smoothing)},
		OnSkip: func(name string, err error) { r.log.Warn("skipped", "image", name, "error", err.Error()) },
	}
}

// finish evaluates, saves and reports the model.
func (r *vitRun) finish(ctx context.Context, w io.Writer, start time.Time) error {
	if r.trainer.EMA != nil {
		if err := r.trainer.EMA.Swap(r.Params()); err != nil {
			return err
		}
	}
	if err := r.save(r.out); err != nil {
		return err
	}
	var report strings.Builder
	t := tabwriter.NewWriter(&report, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		name string
		data data.Dataset
	}{
		// The training images are many; some of them tell as much.
		{"train", data.Take(r.parts.train, 2000)}, {"validation", r.parts.val}, {"test", r.parts.test},
	} {
		if part.data == nil {
			continue
		}
		result, err := r.measure(ctx, part.data)
		if err != nil {
			return errors.Wrapf(err, "%s accuracy", part.name)
		}
		fmt.Fprintf(t, "%s accuracy\t%.2f %%\t(%s images, loss %.4f)\n",
			part.name, 100*result.Metrics["accuracy"], thousands(result.Count), result.Metrics["loss"])
	}
	fmt.Fprintf(t, "parameters\t%s\n", thousands(r.Params().Size()))
	fmt.Fprintf(t, "steps\t%s\n", thousands(r.trainer.Done()))
	fmt.Fprintf(t, "seconds\t%.1f\n", r.clock().Sub(start).Seconds())
	fmt.Fprintf(t, "model\t%s\n", r.out)
	if r.parts.val != nil {
		fmt.Fprintf(t, "best checkpoint\t%s\t(by validation accuracy)\n", filepath.Join(r.out, "checkpoints", "best"))
	} else {
		fmt.Fprintln(t, "best checkpoint\tnone\t(no validation images; the test images choose nothing)")
	}
	fmt.Fprintf(t, "next\ttessera vit eval --model %s --data %s\n", r.out, r.data)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, report.String())
	return err
}
