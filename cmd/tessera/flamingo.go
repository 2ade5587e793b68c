package main

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/bpe"
	"tessera/flamingo"
)

func newFlamingo() *cobra.Command {
	cmd := group("flamingo", "Describe images and answer questions about them",
		"Describe images and answer questions about them, after a few examples: a frozen\nlanguage model looks at images through gated cross-attention (Flamingo,\narXiv:2204.14198).")
	cmd.AddCommand(newFlamingoPretrainLM(), newFlamingoTrain(), newFlamingoEval(), newFlamingoGenerate())
	return cmd
}

// Tokens that are added to those of the language model, in this order.
const (
	imageToken   = "<image>"
	chunkToken   = "<|endofchunk|>"
	paddingToken = "<PAD>"
)

// visionFolder holds the vision tower in the folder of a describer.
const visionFolder = "vision"

// describer is all that writing about images takes.
type describer struct {
	*flamingo.Model
	tokens *bpe.Tokenizer // of the language model, with the added tokens
	tower  *tower
}

// loadDescriber reads a model. Its language model and its vision tower
// lie in folders beside it or, for a checkpoint, in the folder of the run,
// unless others are named.
func loadDescriber(o describerFolders, log *slog.Logger) (*describer, error) {
	dir, language, vision := o.dir, o.language, o.vision
	if dir == "" {
		return nil, usagef("--model is missing: name the folder of a model")
	}
	for _, part := range []struct {
		path *string
		name string
	}{{&language, flamingo.LanguageName}, {&vision, visionFolder}} {
		if *part.path != "" {
			continue
		}
		*part.path = filepath.Join(dir, part.name)
		run := filepath.Join(dir, "..", "..", part.name)
		if _, err := os.Stat(*part.path); errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Stat(run); err == nil {
				*part.path = run
			}
		}
	}
	m, err := flamingo.Load(dir, flamingo.LoadOptions{Language: language, Warn: func(s string) { log.Warn(s) }})
	if err != nil {
		return nil, err
	}
	tokens, err := bpe.Load(dir)
	if err != nil {
		return nil, err
	}
	t, err := loadTower(vision, o.cache, m.Config.Shown, log)
	if err != nil {
		return nil, err
	}
	d := &describer{m, tokens, t}
	return d, errors.Wrap(d.validate(), dir)
}

// validate compares the model with its tokenizer and its vision tower.
func (d *describer) validate() error {
	if n := d.Vocabulary(); d.tokens.Size() != n {
		return errors.Errorf("the model has %d tokens, its tokenizer %d", n, d.tokens.Size())
	}
	if d.Vision != d.tower.width {
		return errors.Errorf("the model wants patches of width %d, the vision tower makes ones of %d", d.Vision, d.tower.width)
	}
	if n := d.Config.Patches; n > 0 && n != d.tower.patches {
		return errors.Errorf("the model wants images of %d patches, the vision tower makes %d", n, d.tower.patches)
	}
	return nil
}

// save writes what is trained, and the tokenizer, to dir.
func (d *describer) save(dir string) error {
	if err := d.Model.Save(dir); err != nil {
		return err
	}
	return d.tokens.Save(dir)
}

// chunk is an image with what is said about it.
type chunk struct {
	image  flamingo.Image
	prompt string
	answer string // empty: to be found
	given  bool   // the answer is not learned
}

// sequence puts chunks together: <image>, the prompt, the answer and
// <|endofchunk|>. Answers are what is learned.
func (d *describer) sequence(chunks ...chunk) flamingo.Sequence {
	var s flamingo.Sequence
	add := func(learn bool, ids ...int) {
		for _, id := range ids {
			s.IDs, s.Learn = append(s.IDs, id), append(s.Learn, learn)
		}
	}
	for _, c := range chunks {
		s.Images = append(s.Images, c.image)
		add(false, d.Config.Media)
		add(false, d.tokens.Encode(c.prompt)...)
		if c.answer != "" {
			add(!c.given, d.tokens.Encode(" "+c.answer)...)
			add(!c.given, d.EndChunk)
		}
	}
	return s
}
