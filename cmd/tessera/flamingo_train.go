package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/bpe"
	"tessera/flamingo"
	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
)

func newFlamingoTrain() *cobra.Command {
	var o flamingoSettings
	cmd := &cobra.Command{
		Use:   "train --data SPEC --language DIR --vision DIR --out DIR",
		Short: "Let a language model look at images",
		Long: `Train the layers by which a frozen language model looks at the images of a frozen
vision tower: a resampler, gated cross-attention and the rows of the tokens
` + imageToken + `, ` + chunkToken + ` and padding. Every image is shown to the tower once.

What is learned are the answers of texts with several images: captions, or what
--template makes of the class, and questions. Half of the texts of shapes-words are
about made-up names of colors: what a name means is said by the examples before
alone, and is something else in every text.

DIR receives what is trained (config.json, model.safetensors) with the tokenizer,
copies of the language model (language) and of the vision tower (vision), and
further metrics.jsonl, curves.svg and, in checkpoints, what --resume needs.`,
		Example: `  tessera flamingo pretrain-lm --out runs/language
  tessera clip train --data shapes --out runs/vision
  tessera flamingo train --data shapes --hold-out 6 --language runs/language --vision runs/vision --out runs/flamingo
  tessera flamingo train --out runs/flamingo --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checkpoint, err := o.prepare(cmd.Flags(), o.complete, o.check)
			if err != nil {
				return err
			}
			r := &flamingoRun{flamingoSettings: &o, fit: newFit(cmd, &o.fitting, "Flamingo on "+o.data), log: logger(cmd)}
			return r.run(cmd.Context(), cmd.OutOrStdout(), checkpoint)
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

// complete rejects a new run without data or models.
func (o *flamingoSettings) complete() error {
	for _, x := range []struct{ flag, value, want string }{
		{"data", o.data, flamingoForms + " or a folder"},
		{"language", o.language, `the folder of a GPT-2, as "tessera flamingo pretrain-lm" makes it`},
		{"vision", o.vision, "the folder of a ViT or a CLIP"},
	} {
		if x.value == "" {
			return usagef("--%s is missing, want %s", x.flag, x.want)
		}
	}
	return nil
}

// flamingoRun is a training run.
type flamingoRun struct {
	*flamingoSettings
	fit *fit
	log *slog.Logger

	*describer
	albums map[string]*album // by part: train, validation, test
	shape  flamingo.Shape
	copies func() error // puts language model and tower beside the model
}

func (r *flamingoRun) run(ctx context.Context, w io.Writer, checkpoint string) error {
	if err := r.open(ctx, checkpoint); err != nil {
		return err
	}
	l := r.load("train", r.shots)
	if l.StepsPerEpoch() < 1 {
		return usagef("--batch %d exceeds the %d training images: choose a smaller one", r.batch, l.N)
	}
	r.fit.trainer.Model, r.fit.trainer.Data, r.fit.epoch, r.fit.save = l.Objective, l.Train, l.StepsPerEpoch(), r.describer.save
	r.fit.adapt = func(a *optim.AdamW) {
		a.Rate = func(p *graph.Param) float64 {
			if flamingo.IsGate(p) {
				return r.gateRate
			}
			return 1
		}
	}
	if r.albums["validation"] != nil {
		r.fit.validate = func(ctx context.Context) (train.Result, error) { return r.measure(ctx, "validation") }
	}
	if r.copies != nil {
		if err := r.copies(); err != nil {
			return err
		}
	}
	if err := r.fit.run(ctx, checkpoint); err != nil {
		return err
	}
	return r.finish(ctx, w)
}

// open makes the model, or loads that of a checkpoint, and shows the data to the
// tower.
func (r *flamingoRun) open(ctx context.Context, checkpoint string) (err error) {
	if checkpoint != "" {
		r.describer, err = loadDescriber(describerFolders{dir: checkpoint, cache: r.cache}, r.log)
	} else {
		err = r.begin()
	}
	if err != nil {
		return err
	}
	parts, err := openFlamingoData(r.data, r.tower.side, r.holdOut, r.val, r.seed)
	if err != nil {
		return err
	}
	r.albums = map[string]*album{}
	var words []string
	if parts.names {
		words, _ = data.NamingWords()
	}
	longest := 0
	for i, name := range []string{"train", "validation", "test"} {
		ds := []data.Dataset{parts.train, parts.val, parts.test}[i]
		if ds == nil {
			continue
		}
		bar := counting(r.fit.stderr, "patches of "+name+" images", ds.Len(), r.fit.clock)
		images, err := lookAndAsk(ctx, r.tower, ds, r.template, r.log, bar)
		if err != nil {
			return errors.Wrapf(err, "%s images", name)
		}
		r.albums[name] = newAlbum(images, words)
		longest = max(longest, r.longest(r.albums[name]))
	}
	r.shape = flamingo.Shape{Tokens: longest * (1 + r.shots), Images: 1 + r.shots, Frames: 1, Patches: r.tower.patches}
	if n := r.Text.Context; r.shape.Tokens > n {
		return usagef("--shots %d: texts of up to %d tokens, but the language model takes %d", r.shots, r.shape.Tokens, n)
	}
	return nil
}

// begin makes a new model around copies of the language model and the tower.
func (r *flamingoRun) begin() error {
	lm, err := gpt2.Load(r.language, gpt2.LoadOptions{Warn: func(s string) { r.log.Warn(s) }})
	if err != nil {
		return err
	}
	plain, err := bpe.Load(r.language)
	if err != nil {
		return err
	}
	if plain.Size() != lm.VocabSize {
		return errors.Errorf("%s: the model has %d tokens, its tokenizer %d", r.language, lm.VocabSize, plain.Size())
	}
	tokens, err := plain.WithSpecial(imageToken, chunkToken, paddingToken)
	if err != nil {
		return errors.Wrap(err, r.language)
	}
	shown, err := flamingo.ParseShown(r.show)
	if err != nil {
		return err
	}
	t, err := loadTower(r.vision, r.cache, shown, r.log)
	if err != nil {
		return err
	}
	c, err := r.config(lm.Config, t)
	if err != nil {
		return err
	}
	m, err := flamingo.New(c, flamingo.Around(lm, graph.Seed(r.seed)))
	if err != nil {
		return err
	}
	r.describer = &describer{m, tokens, t}
	if err := r.describer.validate(); err != nil {
		return err
	}
	// Once nothing but training can fail, for --out must be empty.
	r.copies = func() error {
		dir := filepath.Join(r.out, flamingo.LanguageName)
		if err := lm.Save(dir); err != nil {
			return err
		}
		if err := plain.Save(dir); err != nil {
			return err
		}
		return t.save(filepath.Join(r.out, visionFolder))
	}
	return nil
}

// load makes the batches of a part of the data.
func (r *flamingoRun) load(part string, shots int) *flamingo.Loader {
	a := r.albums[part]
	return &flamingo.Loader{
		Objective: flamingo.Objective{Model: r.Model, Shape: r.shape}, N: len(a.images), BatchSize: r.batch, Seed: r.seed,
		Sequence: func(i int, rng *rand.Rand) (flamingo.Sequence, error) { return r.lesson(a, i, shots, rng), nil },
	}
}

// measure evaluates the model on a part of the data.
func (r *flamingoRun) measure(ctx context.Context, part string) (train.Result, error) {
	l := r.load(part, r.shots)
	return train.Evaluate(ctx, train.Objective(l.Objective), l.Epoch(), l.BatchSize)
}

// finish saves, evaluates and reports the model.
func (r *flamingoRun) finish(ctx context.Context, w io.Writer) error {
	if err := r.describer.save(r.out); err != nil {
		return err
	}
	if a := r.albums["train"]; len(a.images) > 2000 { // some of them tell as much
		r.albums["train"] = newAlbum(a.images[:2000], a.words)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, part := range []string{"train", "validation", "test"} {
		if r.albums[part] == nil {
			continue
		}
		result, err := r.measure(ctx, part)
		if err != nil {
			return errors.Wrapf(err, "%s images", part)
		}
		fmt.Fprintf(t, "%s NLL\t%.4f nats/token of answers\t(%s images)\n", part, result.Metrics["loss"], thousands(result.Count))
	}
	trained := 0
	for p := range r.Params().Trained() {
		trained += p.Shape().TotalSize()
	}
	fmt.Fprintf(t, "parameters\t%s trained of %s\n", thousands(trained), thousands(r.Params().Size()))
	r.fit.tell(t)
	fmt.Fprintf(t, "next\ttessera flamingo eval --model %s --data %s\n", r.out, r.flamingoSettings.data)
	return t.Flush()
}
