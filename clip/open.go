package clip

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
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
	c, entries, err := s.convert(folder(path), o)
	if err != nil {
		s.close()
		return c, nil, nil, err
	}
	return c, graph.NewTensors(s.path, entries), s.close, nil
}

// folder is where the files lie that belong to the checkpoint at path.
func folder(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// convert finds out layout and configuration and gives the tensors Hugging Face
// names.
func (s *store) convert(dir string, o LoadOptions) (Config, map[string]graph.Lazy, error) {
	layout, err := s.layout()
	if err != nil {
		return Config{}, nil, err
	}
	c, err := s.config(dir, layout, o)
	if err != nil {
		return c, nil, err
	}
	// Reject sizes that are not those of the tensors before any is believed.
	if n := len(s.shapes); c.Text.Layers > n || c.Vision.Layers > n {
		return c, nil, errors.Errorf("%s: only %d tensors, want towers of %d and %d layers", s.path, n, c.Text.Layers, c.Vision.Layers)
	}
	all, err := places(layout, c)
	if err != nil {
		return c, nil, err
	}
	entries, err := s.entries(all)
	return c, entries, err
}

// layout tells the layout by the name of the class token.
func (s *store) layout() (string, error) {
	for name := range s.shapes {
		if strings.HasPrefix(name, "visual.trunk.") || strings.HasPrefix(name, "visual.attnpool.") {
			return "", errors.Errorf("%s: tensor %q belongs to a tower that is not CLIP's vision transformer, the only one supported", s.path, name)
		}
	}
	if _, ok := s.shapes[hfMark]; ok {
		return LayoutHF, nil
	}
	if _, ok := s.shapes[openAIMark]; ok {
		return LayoutOpenAI, nil
	}
	return "", errors.Errorf("%s: not a CLIP model: no tensor %q (transformers) or %q (openai/CLIP, open_clip)", s.path, hfMark, openAIMark)
}

// config reads the configuration in dir. OpenAI's layout may do without
// Hugging Face's.
func (s *store) config(dir, layout string, o LoadOptions) (Config, error) {
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
	if _, ok := s.shapes["logit_bias"]; ok && c.LogitBias == nil {
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

// entries gives the tensors their Hugging Face names and shapes. Tensors that
// have no place keep their own; every place must be filled.
func (s *store) entries(all []place) (map[string]graph.Lazy, error) {
	entries := map[string]graph.Lazy{}
	placed := map[string]bool{}
	var faults []string
	for _, p := range all {
		placed[p.name] = true
		got, ok := s.shapes[p.name]
		scalars := len(p.shape) == 0 && tensor.Shape(got).TotalSize() == 1 // [] or [1]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("no tensor %q, want one of shape %v", p.name, tensor.Shape(p.stored())))
			continue
		case !scalars && !slices.Equal(got, p.stored()):
			faults = append(faults, fmt.Sprintf("tensor %q has shape %v, want %v", p.name, tensor.Shape(got), tensor.Shape(p.stored())))
			continue
		}
		for i, name := range p.hf {
			entries[name] = graph.Lazy{Shape: p.shape, Read: func() ([]float32, error) {
				data, err := s.read(p.name)
				if err != nil {
					return nil, err
				}
				return p.unpack(data, i), nil
			}}
		}
	}
	if len(faults) > 0 {
		return nil, errors.Errorf("%s: %s", s.path, strings.Join(faults, "\n\t"))
	}
	for name, shape := range s.shapes {
		if !placed[name] && !slices.Contains(sizesOf, name) {
			entries[name] = graph.Lazy{Shape: shape, Read: func() ([]float32, error) { return s.read(name) }}
		}
	}
	return entries, nil
}
