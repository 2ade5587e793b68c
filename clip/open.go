package clip

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/layers/checkpoint"
)

// Names that tell layouts apart.
const (
	hfMark     = "vision_model.embeddings.class_embedding"
	openAIMark = "visual.class_embedding"
)

// sizesOf are the tensors in which OpenAI's files, unlike open_clip's, keep
// sizes.
var sizesOf = []string{"input_resolution", "context_length", "vocab_size"}

// open opens a checkpoint of any layout under Hugging Face names. Once done is
// called, tensors cannot be read any more.
func open(path string, o LoadOptions) (c Config, t *graph.Tensors, done func() error, err error) {
	s, err := openStore(path)
	if err != nil {
		return c, nil, nil, err
	}
	c, entries, err := s.convert(checkpoint.Folder(path), o)
	if err != nil {
		s.Close()
		return c, nil, nil, err
	}
	return c, graph.NewTensors(s.Path, entries), s.Close, nil
}

// convert finds out layout and configuration and gives the tensors Hugging Face
// names.
func (s store) convert(dir string, o LoadOptions) (Config, map[string]graph.Lazy, error) {
	layout, err := s.layout()
	if err != nil {
		return Config{}, nil, err
	}
	c, err := s.config(dir, layout, o)
	if err != nil {
		return c, nil, err
	}
	// Reject sizes that are not those of the tensors before any is believed.
	if n := len(s.Shapes); c.Text.Layers > n || c.Vision.Layers > n {
		return c, nil, errors.Errorf("%s: only %d tensors, want towers of %d and %d layers", s.Path, n, c.Text.Layers, c.Vision.Layers)
	}
	all, err := places(layout, c)
	if err != nil {
		return c, nil, err
	}
	entries, err := s.Unpack(all)
	for _, name := range sizesOf { // no parameters
		delete(entries, name)
	}
	return c, entries, err
}

// layout tells the layout by the name of the class token.
func (s store) layout() (string, error) {
	for name := range s.Shapes {
		if strings.HasPrefix(name, "visual.trunk.") || strings.HasPrefix(name, "visual.attnpool.") {
			return "", errors.Errorf("%s: tensor %q belongs to a tower that is not CLIP's vision transformer, the only one supported", s.Path, name)
		}
	}
	if _, ok := s.Shapes[hfMark]; ok {
		return LayoutHF, nil
	}
	if _, ok := s.Shapes[openAIMark]; ok {
		return LayoutOpenAI, nil
	}
	return "", errors.Errorf("%s: not a CLIP model: no tensor %q (transformers) or %q (openai/CLIP, open_clip)", s.Path, hfMark, openAIMark)
}

// config reads the configuration in dir. OpenAI's layout may do without
// Hugging Face's.
func (s store) config(dir, layout string, o LoadOptions) (Config, error) {
	path := filepath.Join(dir, configFile)
	kind, err := modelType(path)
	if err != nil {
		return Config{}, err
	}
	var c Config
	switch {
	case kind == "clip":
		c, err = ReadConfig(path)
	case layout == LayoutHF:
		err = errors.Errorf("clip: %s: model_type is %q, want \"clip\"", path, kind)
	default:
		c, err = s.infer(dir, o)
	}
	if _, ok := s.Shapes["logit_bias"]; ok && c.LogitBias == nil {
		c.LogitBias = new(float64)
	}
	return c, err
}

// modelType reads the model_type of a configuration, "" if it has none or there
// is no such file.
func modelType(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", errors.Wrap(err, "clip")
	}
	var c struct {
		ModelType string `json:"model_type"`
	}
	return c.ModelType, errors.Wrapf(json.Unmarshal(text, &c), "clip: %s", path)
}
