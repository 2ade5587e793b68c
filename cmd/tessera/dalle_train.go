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

	"tessera/clip/bpe"
	"tessera/dalle"
	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
)

func newDALLETrain() *cobra.Command {
	var o dalleSettings
	cmd := &cobra.Command{
		Use:   "train --vqvae DIR --data SPEC --out DIR",
		Short: "Train a DALL·E on the tokens of a VQ-VAE",
		Long: `Train a transformer to predict the tokens of images from their captions: those
of the data, or --template with the name of the class.

All images are turned into tokens first, by the VQ-VAE of "tessera vqvae train".
Those of "shapes" are seen once, unless their number is given.
Texts are split by a tokenizer made from the captions, or by that in --vocab.

DIR receives all that drawing takes: the model (config.json, model.safetensors),
the tokenizer of texts (vocab.json, merges.txt, and in words.json the tokens that
occur) and the VQ-VAE (vqvae); further metrics.jsonl, curves.svg and, in
checkpoints, what --resume needs. Where there are images for validation,
checkpoints/best is the checkpoint that finds their tokens most probable.`,
		Example: `  tessera vqvae train --data shapes --out runs/tokens
  tessera dalle train --data shapes --vqvae runs/tokens --out runs/dalle
  tessera dalle train --out runs/dalle --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checkpoint, err := o.prepare(cmd.Flags())
			if err != nil {
				return err
			}
			r := &dalleRun{dalleSettings: &o, fit: newFit(cmd, &o.fitting, "DALL·E on "+o.data), log: logger(cmd)}
			if err := r.open(cmd.Context(), checkpoint); err != nil {
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
func (o *dalleSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	return o.fitting.prepare(f, func() error {
		if err := suit(f, o.data, dalleDefaults); err != nil {
			return err
		}
		if o.vqvae == "" {
			return usagef("--vqvae is missing: name the folder of a VQ-VAE, as \"tessera vqvae train\" makes it")
		}
		return nil
	}, o.check)
}

// dalleRun is a training run.
type dalleRun struct {
	*dalleSettings
	fit *fit
	log *slog.Logger

	*painter
	pairsOf map[string][]dalle.Pair // by part: train, validation, test
}

// open reads the data and makes the model, or loads that of a checkpoint.
func (r *dalleRun) open(ctx context.Context, checkpoint string) (err error) {
	if checkpoint != "" {
		r.painter, err = loadPainter(checkpoint)
	} else {
		r.painter = &painter{}
		r.image, err = loadVQVAE(r.vqvae)
	}
	if err != nil {
		return err
	}
	images, err := r.encodeParts(ctx)
	if err != nil {
		return err
	}
	if n := len(images["train"]); r.batch > n {
		return usagef("--batch %d exceeds the %d training images: choose a smaller one", r.batch, n)
	}
	if checkpoint == "" {
		if err := r.begin(images["train"]); err != nil {
			return err
		}
	}
	r.pairsOf = map[string][]dalle.Pair{}
	for name, part := range images {
		r.pairsOf[name] = r.pairs(part)
	}
	return nil
}

// encodeParts turns the images of the data's parts into tokens.
func (r *dalleRun) encodeParts(ctx context.Context) (map[string][]captioned, error) {
	spec, err := parseDataSpec(r.data)
	if err != nil {
		return nil, err
	}
	parts, err := spec.once(160_000).open(r.image.ImageSize, r.val, r.seed)
	if err != nil {
		return nil, err
	}
	images := map[string][]captioned{}
	for i, name := range []string{"train", "validation", "test"} {
		ds := []data.Dataset{parts.train, parts.val, parts.test}[i]
		if ds == nil {
			continue
		}
		if r.holdOut > 0 {
			if ds, err = holdOut(ds, r.holdOut, r.seed); err != nil {
				return nil, err
			}
		}
		bar := counting(r.fit.stderr, "tokens of "+name+" images", ds.Len(), r.fit.clock)
		if images[name], err = encodeCaptioned(ctx, r.image, ds, r.template, r.log, bar); err != nil {
			return nil, errors.Wrapf(err, "%s images", name)
		}
	}
	return images, nil
}

// begin makes a new model for the captions.
func (r *dalleRun) begin(images []captioned) (err error) {
	if r.vocab != "" {
		r.text, err = bpe.Load(r.vocab)
	} else {
		r.text, err = bpe.Train(textsOf(images), r.vocabSize, bpe.OpenAI)
	}
	if err != nil {
		return err
	}
	var length int
	if r.words, length, err = wordsOf(r.text, textsOf(images)); err != nil {
		return err
	}
	if r.textTokens > 0 {
		length = r.textTokens
	}
	c, err := r.config(len(r.words.ids), length, r.image.NumEmbeddings, r.image.Tokens())
	if err != nil {
		return err
	}
	r.Model, err = dalle.New(c, graph.Seed(r.seed))
	return err
}

// load makes the batches of a part of the data.
func (r *dalleRun) load(part string) *dalle.Loader {
	return &dalle.Loader{Config: r.Config, Pairs: r.pairsOf[part], BatchSize: r.batch, Seed: r.seed}
}

// train runs the training, from a checkpoint if there is one.
func (r *dalleRun) train(ctx context.Context, checkpoint string) error {
	l := r.load("train")
	r.fit.trainer.Model, r.fit.trainer.Data, r.fit.epoch, r.fit.save = r.Model, l.Train, max(1, l.StepsPerEpoch()), r.save
	if len(r.pairsOf["validation"]) > 0 {
		r.fit.best = "val_probability"
		r.fit.validate = func(ctx context.Context) (train.Result, error) { return r.measure(ctx, "validation") }
	}
	return r.fit.run(ctx, checkpoint)
}

// measure evaluates the model on a part of the data. The metric probability is
// the geometric mean of those of image tokens.
func (r *dalleRun) measure(ctx context.Context, part string) (train.Result, error) {
	l := r.load(part)
	result, err := train.Evaluate(ctx, train.Objective(r.Model), l.Epoch(), l.BatchSize)
	if err == nil {
		result.Metrics["probability"] = math.Exp(-result.Metrics["image_loss"])
	}
	return result, err
}

// finish saves, evaluates and reports the model.
func (r *dalleRun) finish(ctx context.Context, w io.Writer) error {
	if err := r.save(r.out); err != nil {
		return err
	}
	if all := r.pairsOf["train"]; len(all) > 2000 { // some of them tell as much
		r.pairsOf["train"] = all[:2000]
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, part := range []string{"train", "validation", "test"} {
		if len(r.pairsOf[part]) == 0 {
			continue
		}
		result, err := r.measure(ctx, part)
		if err != nil {
			return errors.Wrapf(err, "%s images", part)
		}
		fmt.Fprintf(t, "%s NLL\t%.4f nats/token\t(%s images", part, result.Metrics["image_loss"], thousands(result.Count))
		if loss, ok := result.Metrics["text_loss"]; ok {
			fmt.Fprintf(t, ", texts %.4f", loss)
		}
		fmt.Fprintln(t, ")")
	}
	fmt.Fprintf(t, "tokens\t%d of %d text tokens, %d of %d codes\n", r.TextTokens, r.TextVocab-1, r.ImageTokens, r.ImageVocab)
	fmt.Fprintf(t, "parameters\t%s\n", thousands(r.Params().Size()))
	r.fit.tell(t)
	fmt.Fprintf(t, "next\ttessera dalle generate --model %s --text … --out %s\n", r.out, filepath.Join(r.out, "grid.png"))
	return t.Flush()
}
