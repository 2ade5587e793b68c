// Package embed maps images and texts, as they come, into the space of a CLIP
// model (arXiv:2103.00020): it decodes and prepares, finds the tokens, and makes
// batches.
package embed

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/pkg/errors"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/train/data"
)

// PreprocessFile says, beside a model, how images are prepared for it.
const PreprocessFile = "preprocessor_config.json"

// Options are what the files of a model do not say.
type Options struct {
	HiddenAct string       // as in clip.LoadOptions
	Warn      func(string) // told of what is missing or not used; may be nil
}

// Model is a CLIP model with its preprocessing and its tokenizer. Its methods
// may be called at once; images and texts are each embedded one batch at a time.
// The weights must stay as they are.
type Model struct {
	CLIP  *clip.Model
	Input data.Preprocess

	dir    string // of the tokenizer; "": it was given
	tokens *bpe.Tokenizer
	mutex  sync.Mutex // of tokens

	images, texts programs
	hash          func() string
}

// Open reads the model at path, a folder or a file of tensors with the rest
// beside it. Without a preprocessor_config.json images are prepared as for
// OpenAI's models. The tokenizer is read once it is needed, for images do
// without.
func Open(path string, o Options) (*Model, error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	c, err := clip.Load(path, clip.LoadOptions{HiddenAct: o.HiddenAct, Warn: o.Warn})
	if err != nil {
		return nil, err
	}
	dir := path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir = filepath.Dir(path)
	}
	file := filepath.Join(dir, PreprocessFile)
	v := c.Config.Vision
	input, err := data.ReadPreprocess(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		input = Preprocess(v)
		o.Warn(path + ": no " + PreprocessFile + " beside the model: images are prepared as for OpenAI's models")
	case err != nil:
		return nil, err
	}
	if w, h := input.Output(); w != v.ImageSize || h != v.ImageSize || input.Channels() != v.Channels {
		return nil, errors.Errorf("%s gives images of %d×%d pixels in %d channels, but the model beside it wants %d×%d in %d",
			file, w, h, input.Channels(), v.ImageSize, v.ImageSize, v.Channels)
	}
	m := New(c, input, nil)
	m.dir = dir
	return m, nil
}

// New is a model made of its parts. With no tokens, texts are an error.
func New(c *clip.Model, input data.Preprocess, tokens *bpe.Tokenizer) *Model {
	m := &Model{CLIP: c, Input: input, tokens: tokens, images: newPrograms(c, "vision_model."), texts: newPrograms(c, "text_model.")}
	m.hash = sync.OnceValue(m.sum)
	return m
}

// Preprocess is CLIP's preprocessing for images of any size and number of
// channels.
func Preprocess(v clip.VisionConfig) data.Preprocess {
	p := data.CLIPPreprocess(v.ImageSize)
	p.ImageMean, p.ImageStd = p.ImageMean[:v.Channels:v.Channels], p.ImageStd[:v.Channels:v.Channels]
	p.DoConvertRGB = v.Channels == 3
	return p
}

// Close frees what was made to embed with. The model itself stays usable.
func (m *Model) Close() error {
	first, second := m.images.close(), m.texts.close()
	if first != nil {
		return first
	}
	return second
}

// Dim is the width of the space, E.
func (m *Model) Dim() int { return m.CLIP.Config.ProjectionDim }

// Tokens is the tokenizer, read from beside the model if it was not yet.
func (m *Model) Tokens() (*bpe.Tokenizer, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.tokens != nil {
		return m.tokens, nil
	}
	if m.dir == "" {
		return nil, errors.New("embed: the model has no tokenizer")
	}
	t, err := bpe.Load(m.dir)
	if err != nil {
		return nil, err
	}
	if n := m.CLIP.Config.Text.Vocabulary; t.Size() > n {
		return nil, errors.Errorf("%s: the tokenizer has %d tokens, but the model beside it knows %d", m.dir, t.Size(), n)
	}
	m.tokens = t
	return t, nil
}

// Encode gives the ids of texts, each cut to the context.
func (m *Model) Encode(texts []string) ([][]int, error) {
	t, err := m.Tokens()
	if err != nil {
		return nil, err
	}
	ids := make([][]int, len(texts))
	for i, text := range texts {
		ids[i] = m.cut(t, text)
	}
	return ids, nil
}

func (m *Model) cut(t *bpe.Tokenizer, text string) []int {
	ids := t.Encode(text)
	if n := m.CLIP.Config.Text.Context; len(ids) > n {
		ids = t.Pad(ids, n)
	}
	return ids
}

// ZeroShot is clip.Encoder.ZeroShot: a classifier of names.
func (m *Model) ZeroShot(classes, templates []string) ([]float32, error) {
	t, err := m.Tokens()
	if err != nil {
		return nil, err
	}
	e := clip.NewEncoder(m.CLIP)
	defer e.Close()
	return e.ZeroShot(classes, templates, func(prompt string) []int { return m.cut(t, prompt) })
}
