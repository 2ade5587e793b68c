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

	"tessera/clip/bpe"
	"tessera/dalle"
	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
)

func newDALLETrain() *cobra.Command {
	var o dalleSettings
	cmd := &cobra.Command{
		Use:   "train --vqvae DIR --data SPEC --out DIR",
		Short: "Train a DALL·E on the tokens of a VQ-VAE",
		Long: `Train a transformer to predict the tokens of images from their captions: those
of the data, or --template with the name of the class.

All images are turned into tokens first, by the VQ-VAE of "tessera vqvae train".
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
			r := &dalleRun{
				dalleSettings: &o, settings: fingerprint(cmd.Flags()), log: logger(cmd),
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
func (o *dalleSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
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
	if o.vqvae == "" {
		return "", usagef("--vqvae is missing: name the folder of a VQ-VAE, as \"tessera vqvae train\" makes it")
	}
	spec, err := parseDataSpec(o.data)
	if err != nil {
		return "", err
	}
	if err := setDefaults(f, dalleDefaults[spec.kind]); err != nil {
		return "", err
	}
	if err := o.check(); err != nil {
		return "", err
	}
	return "", wantEmpty(o.out)
}

// dalleRun is a training run.
type dalleRun struct {
	*dalleSettings
	settings map[string]string
	log      *slog.Logger
	stderr   io.Writer
	clock    func() time.Time

	*painter
	pairsOf map[string][]dalle.Pair // by part: train, validation, test
	trainer *train.Trainer
}

func (r *dalleRun) run(ctx context.Context, w io.Writer, checkpoint string) error {
	start := r.clock()
	if err := r.open(ctx, checkpoint); err != nil {
		return err
	}
	if err := r.train(ctx, checkpoint); err != nil {
		return interrupted(err, r.trainer, "tessera dalle train", r.out)
	}
	return r.finish(ctx, w, start)
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
	parts, err := spec.open(r.image.ImageSize, r.val, r.seed)
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
		bar := counting(r.stderr, "tokens of "+name+" images", ds.Len(), r.clock)
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
	loader := r.load("train")
	epoch := loader.StepsPerEpoch()
	steps := r.steps
	if steps == 0 {
		steps = max(1, r.epochs*epoch)
	}
	r.trainer = &train.Trainer{
		Model: r.Model, BatchSize: r.batch, Data: loader.Train,
		Optimizer: &optim.AdamW{Beta1: r.betas[0], Beta2: r.betas[1], WeightDecay: r.weightDecay},
		Schedule:  train.WarmupCosine(r.lr, int(math.Round(r.warmup*float64(steps))), steps),
		ClipNorm:  r.clip, Steps: steps, Seed: r.seed, Settings: r.settings,
	}
	return runLogged(ctx, r.trainer, checkpoint, r.out, "DALL·E on "+r.data, r.clock, func(lines *train.Log) []train.Hook {
		return r.hooks(ctx, lines, max(1, epoch))
	})
}

// hooks are what happens after a step, in order: validation, checkpoint, log,
// progress.
func (r *dalleRun) hooks(ctx context.Context, lines *train.Log, epoch int) []train.Hook {
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
	if len(r.pairsOf["validation"]) > 0 {
		save.Best = "val_probability"
		validate := train.Validate(func() (train.Result, error) { return r.measure(context.WithoutCancel(ctx), "validation") })
		hooks = append(hooks, func(s *train.Step) error {
			if s.N%every(r.evals) != 0 && s.N != s.Trainer.Steps {
				return nil
			}
			return validate(s)
		})
	}
	return append(hooks, save.Hook, lines.Hook, train.Progress(r.stderr, isTerminal(r.stderr), r.clock))
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
func (r *dalleRun) finish(ctx context.Context, w io.Writer, start time.Time) error {
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
	fmt.Fprintf(t, "steps\t%s\n", thousands(r.trainer.Done()))
	fmt.Fprintf(t, "seconds\t%.1f\n", r.clock().Sub(start).Seconds())
	fmt.Fprintf(t, "model\t%s\n", r.out)
	fmt.Fprintf(t, "next\ttessera dalle generate --model %s --text … --out %s\n", r.out, filepath.Join(r.out, "grid.png"))
	return t.Flush()
}
