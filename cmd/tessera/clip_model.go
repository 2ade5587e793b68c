package main

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/clip/embed"
	"tessera/train/data"
)

// embedder is a model and how images and texts become its input.
type embedder struct {
	*clip.Model
	embed *embed.Model
	log   *slog.Logger
}

// loadEmbedder reads the model at path.
func loadEmbedder(path, act string, log *slog.Logger) (*embedder, error) {
	if path == "" {
		return nil, usagef("--model is missing: name the folder of a model")
	}
	m, err := embed.Open(path, embed.Options{HiddenAct: act, Warn: func(s string) { log.Warn(s) }})
	if err != nil {
		return nil, err
	}
	return &embedder{m.CLIP, m, log}, nil
}

// newEmbedder is a model made here.
func newEmbedder(m *clip.Model, input data.Preprocess, tokens *bpe.Tokenizer, log *slog.Logger) *embedder {
	return &embedder{m, embed.New(m, input, tokens), log}
}

func (e *embedder) Close() error { return e.embed.Close() }

// embedTexts gives a row for each text.
func (e *embedder) embedTexts(ctx context.Context, texts []string) ([]float32, error) {
	rows, err := e.embed.Texts(ctx, texts)
	return slices.Concat(rows...), err
}

// embedImages calls yield with the files that can be read, in order, and their
// rows. The others are reported and counted.
func (e *embedder) embedImages(ctx context.Context, files []string, yield func(file string, row []float32) error) (failed int, err error) {
	err = e.embed.Files(ctx, files, yield, func(file string, err error) {
		failed++
		e.log.Warn("skipped", "image", file, "error", err.Error())
	})
	return failed, err
}

// clipDepth places a parameter for the decay of learning rates by layer: the
// embeddings are layer 0, the last block of either tower depth−1, and what
// follows the blocks depth.
func clipDepth(c clip.Config, depth int) func(name string) int {
	return func(name string) int {
		blocks := c.Text.Layers
		if strings.HasPrefix(name, "vision_") {
			blocks = c.Vision.Layers
		}
		if strings.Contains(name, ".embeddings.") || strings.Contains(name, ".pre_layrnorm.") {
			return 0
		}
		_, rest, ok := strings.Cut(name, ".encoder.layers.")
		number, _, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if !ok || err != nil {
			return depth
		}
		return depth - blocks + i
	}
}
