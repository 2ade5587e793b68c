package main

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/train/data"
)

// embedder is a model and how images and texts become its input.
type embedder struct {
	*clip.Encoder
	dir    string
	input  data.Preprocess
	tokens *bpe.Tokenizer // nil until there is a text
	log    *slog.Logger
}

// loadEmbedder reads the model at path with the preprocessing found beside it,
// or the usual one where there is none.
func loadEmbedder(path, act string, log *slog.Logger) (*embedder, error) {
	if path == "" {
		return nil, usagef("--model is missing: name the folder of a model")
	}
	m, err := clip.Load(path, clip.LoadOptions{HiddenAct: act, Warn: func(s string) { log.Warn(s) }})
	if err != nil {
		return nil, err
	}
	e := &embedder{Encoder: clip.NewEncoder(m), dir: path, log: log}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		e.dir = filepath.Dir(path)
	}
	file := filepath.Join(e.dir, preprocessFile)
	v := m.Config.Vision
	e.input, err = data.ReadPreprocess(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.input = clipPreprocess(v.Channels, v.ImageSize)
		log.Warn("no "+preprocessFile+" beside the model: images are prepared as for OpenAI's models", "model", path)
	case err != nil:
		return nil, err
	}
	if w, h := e.input.Output(); w != v.ImageSize || h != v.ImageSize || e.input.Channels() != v.Channels {
		return nil, errors.Errorf("%s gives images of %d×%d pixels in %d channels, but the model beside it wants %d×%d in %d",
			file, w, h, e.input.Channels(), v.ImageSize, v.ImageSize, v.Channels)
	}
	return e, nil
}

// clipPreprocess is CLIP's preprocessing for any number of channels.
func clipPreprocess(channels, size int) data.Preprocess {
	p := data.CLIPPreprocess(size)
	p.ImageMean, p.ImageStd = p.ImageMean[:channels:channels], p.ImageStd[:channels:channels]
	p.DoConvertRGB = channels == 3
	return p
}

// tokenizer reads the tokenizer beside the model, once.
func (e *embedder) tokenizer() error {
	if e.tokens != nil {
		return nil
	}
	t, err := bpe.Load(e.dir)
	if err != nil {
		return err
	}
	if n := e.Config.Text.Vocabulary; t.Size() > n {
		return errors.Errorf("%s: the tokenizer has %d tokens, but the model beside it knows %d", e.dir, t.Size(), n)
	}
	e.tokens = t
	return nil
}

// encode gives the ids of a text, cut to the context.
func (e *embedder) encode(text string) []int {
	ids := e.tokens.Encode(text)
	if n := e.Config.Text.Context; len(ids) > n {
		ids = e.tokens.Pad(ids, n)
	}
	return ids
}

// embedTexts gives a row for each text.
func (e *embedder) embedTexts(texts []string) ([]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	if err := e.tokenizer(); err != nil {
		return nil, err
	}
	ids := make([][]int, len(texts))
	for i, t := range texts {
		ids[i] = e.encode(t)
	}
	return e.Texts(ids)
}

// embedImages calls yield with the files that can be read, in order, and their
// rows. The others are reported and counted.
func (e *embedder) embedImages(ctx context.Context, files []string, yield func(file string, row []float32) error) (failed int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := 0
	for b := range e.prepare(ctx, files) {
		for _, f := range b.faults {
			e.log.Warn("skipped", "image", f.file, "error", f.err.Error())
		}
		failed += len(b.faults)
		if len(b.files) == 0 {
			continue
		}
		rows, err := e.Images(b.pixels)
		if err != nil {
			return failed, err
		}
		E := e.ProjectionDim
		for i, file := range b.files {
			if err := yield(file, rows[i*E:(i+1)*E]); err != nil {
				return failed, err
			}
			done++
		}
	}
	return failed, errors.Wrapf(ctx.Err(), "stopped after %d images", done)
}

// imageBatch is images that were read, and files that could not be.
type imageBatch struct {
	files  []string
	pixels *tensor.Dense // (n, C, S, S)
	faults []imageFault
}

type imageFault struct {
	file string
	err  error
}

// prepare reads files in batches, by all processors and one batch ahead, until
// ctx is cancelled.
func (e *embedder) prepare(ctx context.Context, files []string) <-chan imageBatch {
	batches := make(chan imageBatch)
	go func() {
		defer close(batches)
		for len(files) > 0 && ctx.Err() == nil {
			n := min(predictBatch, len(files))
			select {
			case batches <- e.read(files[:n]):
			case <-ctx.Done():
			}
			files = files[n:]
		}
	}()
	return batches
}

// read decodes and prepares a batch of files.
func (e *embedder) read(files []string) imageBatch {
	v := e.Config.Vision
	size := v.Channels * v.ImageSize * v.ImageSize
	pixels := make([]float32, len(files)*size)
	errs := make([]error, len(files))
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, file := range files {
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			errs[i] = prepareFile(e.input, file, pixels[i*size:(i+1)*size])
		}()
	}
	wait.Wait()
	var b imageBatch
	for i, file := range files {
		if errs[i] != nil {
			b.faults = append(b.faults, imageFault{file, errs[i]})
			continue
		}
		n := len(b.files)
		copy(pixels[n*size:], pixels[i*size:(i+1)*size])
		b.files = append(b.files, file)
	}
	n := len(b.files)
	if n > 0 {
		b.pixels = tensor.New(tensor.WithShape(n, v.Channels, v.ImageSize, v.ImageSize), tensor.WithBacking(pixels[:n*size:n*size]))
	}
	return b
}

// prepareFile decodes and preprocesses a file into dst (C, S, S).
func prepareFile(p data.Preprocess, file string, dst []float32) error {
	im, err := data.DecodeFile(file, 0)
	if err != nil {
		return err
	}
	if im, err = p.Apply(im); err != nil {
		return err
	}
	return p.Normalize(dst, im)
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
