package main

import (
	"context"
	"iter"
	"log/slog"
	"math"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/clip/embed"
	"tessera/graph"
	"tessera/train/data"
	"tessera/train/optim"
)

func newClipTrain() *cobra.Command {
	var o clipSettings
	cmd := &cobra.Command{
		Use:   "train --data SPEC --out DIR",
		Short: "Train image and text towers from scratch",
		Long: `Train a model on images with captions, and a tokenizer on the captions first.

The data is one of

` + clipFormsHelp + `

Of shapes, --held-out combinations of color and shape are never seen in training;
they are named at the end. Of pairs, the share --val is held out. How well
captions and images find each other among those held out, as recall at 1, 5 and 10
and median rank, and how many classes are found by name, is printed at the end.

DIR receives the model (config.json, model.safetensors, vocab.json, merges.txt,
preprocessor_config.json), metrics.jsonl, curves.svg and, in checkpoints, what
--resume needs.`,
		Example: `  tessera clip train --data shapes --out runs/clip
  tessera clip train --data fashion-mnist:data/fashion --loss sigmoid --out runs/fashion
  tessera clip train --data captions:photos/captions.csv --preset small64 --out runs/photos
  tessera clip train --data emoji:node_modules:twitter --out runs/emoji
  tessera clip train --out runs/clip --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checkpoint, err := o.prepare(cmd.Flags())
			if err != nil {
				return err
			}
			r := &clipRun{clipSettings: &o, fit: newFit(cmd, &o.fitting, "CLIP on "+o.data), log: logger(cmd)}
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

// prepare completes and checks the flags and returns the checkpoint to go on
// from, or "".
func (o *clipSettings) prepare(f *pflag.FlagSet) (checkpoint string, err error) {
	return o.fitting.prepare(f, func() error { return o.suit(f) }, o.check)
}

// suit gives flags that were not given what suits the data set.
func (o *clipSettings) suit(f *pflag.FlagSet) error {
	spec, err := parseClipSpec(o.data)
	if err != nil {
		return err
	}
	if spec.pairs() {
		return setDefaults(f, clipDefaults[spec.kind])
	}
	return setDefaults(f, spec.labelled.suited(clipDefaults))
}

// clipRun is a training run.
type clipRun struct {
	*clipSettings
	fit *fit
	log *slog.Logger

	parts  splits
	held   data.Dataset // of combinations kept from training; nil: none
	heldAs []data.Pair
	texts  captions
	*embedder
	tokens *bpe.Tokenizer
	length int // tokens of a caption in training
}

// open reads the data and makes tokenizer and model, or loads those of a
// checkpoint.
func (r *clipRun) open(checkpoint string) error {
	spec, err := parseClipSpec(r.data)
	if err != nil {
		return err
	}
	c, err := clip.Preset(r.preset)
	if err != nil {
		return err
	}
	if err := r.openData(spec, c.Vision.ImageSize); err != nil {
		return err
	}
	if n := r.parts.train.Len(); r.batch > n {
		return usagef("--batch %d exceeds the %d training images: choose a smaller one", r.batch, n)
	}
	if checkpoint != "" {
		r.embedder, err = loadEmbedder(checkpoint, "", r.log)
		if err == nil {
			r.tokens, err = r.embed.Tokens()
		}
	} else {
		r.embedder, err = r.fresh(c)
	}
	if err != nil {
		return err
	}
	// Longer captions are cut.
	r.length = min(r.texts.longest(r.tokens), r.Config.Text.Context)
	return r.freezeTower()
}

// openData opens the data set, without the combinations held out.
func (r *clipRun) openData(spec clipSpec, size int) error {
	var err error
	if spec.kind != "shapes" {
		if r.parts, err = spec.open(size, r.val, r.seed); err != nil {
			return err
		}
		r.texts = captions{templates: classTemplates, seed: r.seed, classes: spec.namesOf(r.parts.train)}
		if len(r.template) > 0 {
			r.texts.templates = r.template
		}
		if spec.pairs() {
			r.texts.own = r.parts.train.(data.Captioned)
		}
		return nil
	}
	n := spec.labelled.once(640_000).n
	seen, held, err := data.HoldOut(r.heldOut, r.seed)
	if err != nil {
		return usagef("--held-out %d: %v", r.heldOut, err)
	}
	part := func(n int, seed uint64, pairs []data.Pair) data.Shapes {
		return data.Shapes{N: n, Size: size, Seed: seed, Pairs: pairs}
	}
	train := part(n, shapesSeed, seen)
	r.parts = splits{train: train, test: part(shapesTested(n), shapesTestSeed, seen)}
	if len(held) > 0 {
		r.held, r.heldAs = part(shapesTested(n), shapesTestSeed, held), held
	}
	r.texts = captions{classes: train.Classes(), templates: shapeTemplates(), own: train}
	return nil
}

// longestText is the most tokens of a caption that a new model is made for, as
// in published ones.
const longestText = 77

// fresh makes a tokenizer and a model.
func (r *clipRun) fresh(c clip.Config) (*embedder, error) {
	tokens, err := bpe.Train(r.texts.all, r.vocabulary, bpe.OpenAI)
	if err != nil {
		return nil, err
	}
	c.SetVocabulary(tokens.Size(), tokens.Start(), tokens.End())
	c.Text.Context = max(c.Text.Context, min(r.texts.longest(tokens), longestText))
	if r.loss == "sigmoid" {
		bias := -10.0 // most pairs do not match (arXiv:2303.15343)
		c.LogitBias, c.LogitScale = &bias, math.Log(10)
	}
	m, err := clip.New(c, graph.Seed(r.seed))
	if err != nil {
		return nil, err
	}
	r.tokens = tokens
	return newEmbedder(m, embed.Preprocess(c.Vision), tokens, r.log), nil
}

// freezeTower locks a tower (arXiv:2111.07991).
func (r *clipRun) freezeTower() error {
	switch r.lock {
	case "image":
		return freeze(r.Params(), []string{"vision_model.*", "visual_projection.*"})
	case "text":
		return freeze(r.Params(), []string{"text_model.*", "text_projection.*"})
	}
	return nil
}

// save writes the model and all that goes with it.
func (r *clipRun) save(dir string) error {
	if err := r.Save(dir); err != nil {
		return err
	}
	if err := r.tokens.Save(dir); err != nil {
		return err
	}
	return r.embed.Input.Write(filepath.Join(dir, embed.PreprocessFile))
}

// objective is what training minimizes.
func (r *clipRun) objective() clip.Objective {
	return clip.Objective{Model: r.Model, Length: r.length, Labels: r.same}
}

// keptImages bounds the bytes of prepared images that are kept in memory.
const keptImages = 1 << 30

// plan completes the run but for what follows a step.
func (r *clipRun) plan() {
	l := &data.Loader{
		Dataset: data.Keep(r.parts.train, r.embed.Input, keptImages), BatchSize: r.batch, Seed: r.seed, Workers: r.workers, Shuffle: true,
		Inputs: []data.Input{data.Images(r.embed.Input, nil)},
		OnSkip: func(name string, err error) { r.log.Warn("skipped", "image", name, "error", err.Error()) },
	}
	if n := len(r.texts.classes); n > 0 {
		l.Inputs = append(l.Inputs, data.Labels(n, 0))
	}
	r.fit.epoch = l.StepsPerEpoch()
	r.fit.adapt = func(a *optim.AdamW) {
		a.Eps = 1e-6
		if r.layerDecay < 1 {
			depth := 1 + max(r.Config.Vision.Layers, r.Config.Text.Layers)
			a.Rate = optim.LayerDecay(r.layerDecay, depth, clipDepth(r.Config, depth))
		}
	}
	t := r.fit.trainer
	t.Model, t.After = r.objective(), clip.Clamp
	t.Data = func(from int) iter.Seq2[data.Minibatch, error] {
		return pairs(l.Train(from), r.texts, r.tokens, r.Config.Text, r.length, r.same)
	}
	if r.ema > 0 {
		t.EMA = &optim.EMA{Decay: r.ema}
	}
}

// train runs the training, from a checkpoint if there is one.
func (r *clipRun) train(ctx context.Context, checkpoint string) error {
	r.plan()
	r.fit.save = r.save
	if r.parts.val != nil {
		r.fit.best, r.fit.validate = "val_"+bestOf(r.texts), r.validate
	}
	if r.chunk > 0 {
		cached, err := clip.NewCached(r.objective(), r.batch, r.chunk, r.seed)
		if err != nil {
			return err
		}
		defer cached.Close()
		r.fit.trainer.Gradients = cached
	}
	return r.fit.run(ctx, checkpoint)
}
