package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
	"tessera/vqvae"
)

func newVQVAETrain() *cobra.Command {
	var o vqvaeSettings
	cmd := &cobra.Command{
		Use:   "train --data SPEC --out DIR",
		Short: "Train a VQ-VAE",
		Long: `Train a VQ-VAE on images, without labels.

DIR receives the model (config.json, model.safetensors), metrics.jsonl, curves.svg
and, in checkpoints, what --resume needs. Where there are images for validation,
checkpoints/best is the checkpoint with the highest PSNR on them. Test images are
used once, at the end.`,
		Example: `  tessera vqvae train --data shapes --out runs/tokens
  tessera vqvae train --data fashion-mnist:data/fashion --codes 128 --out runs/tokens
  tessera vqvae train --data photos --quantizer fsq --out runs/tokens
  tessera vqvae train --out runs/tokens --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checkpoint, err := o.prepare(cmd.Flags())
			if err != nil {
				return err
			}
			r := &vqvaeRun{
				vqvaeSettings: &o, settings: fingerprint(cmd.Flags()), log: logger(cmd),
				stderr: cmd.ErrOrStderr(), clock: time.Now,
			}
			return r.run(cmd.Context(), cmd.OutOrStdout(), checkpoint)
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

// prepare completes and checks the flags. It returns the checkpoint to go on
// from, or "".
func (o *vqvaeSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	if o.out == "" {
		return "", usagef("--out is missing: name a folder for the results")
	}
	if o.resume {
		if checkpoint, err = goOn(f, o.out); err != nil {
			return "", err
		}
		return checkpoint, o.check()
	}
	if o.data == "" {
		return "", usagef("--data is missing, want %s or a folder", dataForms)
	}
	spec, err := parseDataSpec(o.data)
	if err != nil {
		return "", err
	}
	if err := setDefaults(f, vqvaeDefaults[spec.kind]); err != nil {
		return "", err
	}
	if err := o.check(); err != nil {
		return "", err
	}
	return "", wantEmpty(o.out)
}

// vqvaeRun is a training run.
type vqvaeRun struct {
	*vqvaeSettings
	settings map[string]string
	log      *slog.Logger
	stderr   io.Writer
	clock    func() time.Time

	parts   splits
	model   *vqvae.Model
	trainer *train.Trainer
}

func (r *vqvaeRun) run(ctx context.Context, w io.Writer, checkpoint string) error {
	start := r.clock()
	if err := r.open(checkpoint); err != nil {
		return err
	}
	if err := r.train(ctx, checkpoint); err != nil {
		return interrupted(err, r.trainer, "tessera vqvae train", r.out)
	}
	return r.finish(ctx, w, start)
}

// open reads the data and makes the model, or loads that of a checkpoint.
func (r *vqvaeRun) open(checkpoint string) (err error) {
	if checkpoint != "" {
		r.model, err = loadVQVAE(checkpoint)
	} else {
		var c vqvae.Config
		if c, err = r.config(); err == nil {
			r.model, err = vqvae.New(c, graph.Seed(r.seed))
		}
	}
	if err != nil {
		return err
	}
	spec, err := parseDataSpec(r.data)
	if err != nil {
		return err
	}
	if r.parts, err = spec.open(r.model.ImageSize, r.val, r.seed); err != nil {
		return err
	}
	if n := r.parts.train.Len(); r.batch > n {
		return usagef("--batch %d exceeds the %d training images: choose a smaller one", r.batch, n)
	}
	return nil
}

// train runs the training, from a checkpoint if there is one.
func (r *vqvaeRun) train(ctx context.Context, checkpoint string) error {
	augment, err := augmentation(r.augment, 0, r.model.ImageSize)
	if err != nil {
		return err
	}
	loader := r.load(r.parts.train, augment)
	loader.Shuffle = true
	steps := r.steps
	if steps == 0 {
		steps = max(1, r.epochs*loader.StepsPerEpoch())
	}
	r.trainer = &train.Trainer{
		Model: r.model, BatchSize: r.batch, Data: loader.Train,
		Optimizer: &optim.AdamW{WeightDecay: r.weightDecay},
		Schedule:  train.WarmupCosine(r.lr, int(math.Round(r.warmup*float64(steps))), steps),
		ClipNorm:  r.clip, Steps: steps, Seed: r.seed, Settings: r.settings,
	}
	return runLogged(ctx, r.trainer, checkpoint, r.out, "VQ-VAE on "+r.data, r.clock, func(lines *train.Log) []train.Hook {
		return r.hooks(ctx, lines, max(1, loader.StepsPerEpoch()))
	})
}

// hooks are what happens after a step, in order: validation, checkpoint, log,
// progress.
func (r *vqvaeRun) hooks(ctx context.Context, lines *train.Log, epoch int) []train.Hook {
	every := func(n int) int {
		if n > 0 {
			return n
		}
		return epoch
	}
	save := &train.Checkpoints{
		Dir: filepath.Join(r.out, "checkpoints"), Every: every(r.saveEvery), Keep: r.keep, Save: r.model.Save,
	}
	var hooks []train.Hook
	if r.parts.val != nil {
		save.Best = "val_psnr"
		validate := train.Validate(func() (train.Result, error) {
			l := r.load(r.parts.val, nil)
			result, err := train.Evaluate(context.WithoutCancel(ctx), train.Objective(r.model), l.Epoch(), l.BatchSize)
			if err == nil {
				result.Metrics["psnr"] = r.model.PSNR(result.Metrics["recon_loss"])
			}
			return result, err
		})
		hooks = append(hooks, func(s *train.Step) error {
			if s.N%every(r.evals) != 0 && s.N != s.Trainer.Steps {
				return nil
			}
			return validate(s)
		})
	}
	return append(hooks, save.Hook, lines.Hook, train.Progress(r.stderr, isTerminal(r.stderr), r.clock))
}

// load makes the batches of a data set.
func (r *vqvaeRun) load(ds data.Dataset, augment data.Augment) *data.Loader {
	return &data.Loader{
		Dataset: ds, BatchSize: r.batch, Seed: r.seed, Workers: r.workers,
		Inputs: []data.Input{data.Images(pixels(r.model.Config), augment)},
		OnSkip: func(name string, err error) { r.log.Warn("skipped", "image", name, "error", err.Error()) },
	}
}

// finish saves, evaluates and reports the model.
func (r *vqvaeRun) finish(ctx context.Context, w io.Writer, start time.Time) error {
	if err := r.model.Save(r.out); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		name string
		data data.Dataset
	}{
		{"train", data.Take(r.parts.train, 2000)}, {"validation", r.parts.val}, {"test", r.parts.test},
	} {
		if part.data == nil {
			continue
		}
		q, err := measureVQVAE(ctx, r.model, r.load(part.data, nil))
		if err != nil {
			return errors.Wrapf(err, "%s images", part.name)
		}
		fmt.Fprintf(t, "%s PSNR\t%.2f dB\t(%s images, SSIM %.4f, %d of %d codes, perplexity %.1f)\n",
			part.name, q.PSNR, thousands(q.Images), q.SSIM, q.Used, q.Codes, q.Perplexity)
	}
	fmt.Fprintf(t, "tokens\t%d×%d\t(of %.1f bits)\n", r.model.Grid(), r.model.Grid(), math.Log2(float64(r.model.NumEmbeddings)))
	fmt.Fprintf(t, "parameters\t%s\n", thousands(r.model.Params().Size()))
	fmt.Fprintf(t, "steps\t%s\n", thousands(r.trainer.Done()))
	fmt.Fprintf(t, "seconds\t%.1f\n", r.clock().Sub(start).Seconds())
	fmt.Fprintf(t, "model\t%s\n", r.out)
	fmt.Fprintf(t, "next\ttessera vqvae reconstruct --model %s --data %s --out %s\n", r.out, r.data, filepath.Join(r.out, "reconstructions.png"))
	return t.Flush()
}
