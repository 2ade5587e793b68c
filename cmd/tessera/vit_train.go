package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

The data is "shapes", which is drawn as it is needed, each image once unless their
number is given, and learned in about a minute on two cores; a known data set in a
folder (fashion-mnist:DIR, mnist:DIR, cifar10:DIR); or a folder of images with a
sub-folder for each class, below train, val and test or directly.

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
			checkpoint, err := o.prepare(cmd.Flags())
			if err != nil {
				return err
			}
			r := &vitRun{vitSettings: &o, fit: newFit(cmd, &o.fitting, "ViT on "+o.data), log: logger(cmd)}
			if err := r.open(checkpoint); err != nil {
				return err
			}
			if err := r.train(cmd.Context(), checkpoint); err != nil {
				return err
			}
			return r.finish(cmd.Context(), cmd.OutOrStdout())
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

// prepare completes and checks the flags. It returns the checkpoint to go on
// from, or "".
func (o *vitSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	return o.fitting.prepare(f, func() error {
		if o.init != "" && f.Changed("preset") {
			return usagef("--init and --preset exclude each other: the checkpoint has its own size")
		}
		return suit(f, o.data, vitDefaults)
	}, o.check)
}

// vitRun is a training run.
type vitRun struct {
	*vitSettings
	fit *fit
	log *slog.Logger

	parts splits
	*classifier
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
	if r.parts, err = spec.once(240_000).open(c.ImageSize, r.val, r.seed); err != nil {
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
	l := r.load(r.parts.train, augment, r.smoothing)
	l.Shuffle = true
	if r.mixup > 0 || r.cutmix > 0 {
		l.Mix = data.Mix{Prob: r.mixProb, Mixup: r.mixup, CutMix: r.cutmix}
	}
	epoch := l.StepsPerEpoch()
	if r.steps == 0 {
		r.steps = max(1, r.epochs*epoch/r.accumulate)
	}
	r.fit.epoch = max(1, epoch/r.accumulate)
	t := r.fit.trainer
	t.Model, t.Data, t.Accumulate, t.Schedule = r.Model, l.Train, r.accumulate, r.rates()
	if r.ema > 0 {
		t.EMA = &optim.EMA{Decay: r.ema}
	}
	r.fit.save, r.fit.adapt = r.save, r.adapt
	if r.parts.val != nil {
		r.fit.best = "val_accuracy"
		r.fit.validate = func(ctx context.Context) (train.Result, error) { return r.measure(ctx, r.parts.val) }
	}
	return r.fit.run(ctx, checkpoint)
}

// adapt chooses what the optimizer decays, and how fast it goes where.
func (r *vitRun) adapt(a *optim.AdamW) {
	if r.decayAll {
		a.Decays = optim.All
	}
	if r.layerDecay < 1 {
		a.Rate = optim.LayerDecay(r.layerDecay, r.Layers+1, depthOf(r.Layers))
	}
}

func (r *vitRun) rates() train.Schedule {
	warmup, steps := r.fit.warm(), r.fit.length()
	switch r.schedule {
	case "constant":
		return train.Constant(r.lr, warmup)
	case "cooldown":
		return train.ConstantCooldown(r.lr, warmup, steps/5, steps)
	}
	return train.WarmupCosine(r.lr, warmup, steps)
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
func (r *vitRun) finish(ctx context.Context, w io.Writer) error {
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
	r.fit.tell(t)
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
