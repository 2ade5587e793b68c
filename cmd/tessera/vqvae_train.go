package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
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
			r := &vqvaeRun{vqvaeSettings: &o, fit: newFit(cmd, &o.fitting, "VQ-VAE on "+o.data), log: logger(cmd)}
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
func (o *vqvaeSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	return o.fitting.prepare(f, func() error { return suit(f, o.data, vqvaeDefaults) }, o.check)
}

// vqvaeRun is a training run.
type vqvaeRun struct {
	*vqvaeSettings
	fit *fit
	log *slog.Logger

	parts splits
	model *vqvae.Model
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
	l := r.load(r.parts.train, augment)
	l.Shuffle = true
	r.fit.trainer.Model, r.fit.trainer.Data, r.fit.epoch, r.fit.save = r.model, l.Train, max(1, l.StepsPerEpoch()), r.model.Save
	if r.parts.val != nil {
		r.fit.best = "val_psnr"
		r.fit.validate = func(ctx context.Context) (train.Result, error) {
			l := r.load(r.parts.val, nil)
			result, err := train.Evaluate(ctx, train.Objective(r.model), l.Epoch(), l.BatchSize)
			if err == nil {
				result.Metrics["psnr"] = r.model.PSNR(result.Metrics["recon_loss"])
			}
			return result, err
		}
	}
	return r.fit.run(ctx, checkpoint)
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
func (r *vqvaeRun) finish(ctx context.Context, w io.Writer) error {
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
	r.fit.tell(t)
	fmt.Fprintf(t, "next\ttessera vqvae reconstruct --model %s --data %s --out %s\n", r.out, r.data, filepath.Join(r.out, "reconstructions.png"))
	return t.Flush()
}
