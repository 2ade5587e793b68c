package vit

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/layers/checkpoint"
)

// The files of a folder that hold the tensors.
const (
	torchFile = checkpoint.TensorFile
	jaxFile   = "model.npz"
)

// store is an open file of tensors.
type store struct{ *checkpoint.Store }

// open opens a checkpoint of any layout under Hugging Face names. Once done is
// called, tensors cannot be read any more.
func open(path string) (c Config, t *graph.Tensors, done func() error, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return c, nil, nil, errors.Wrap(err, "vit")
	}
	configPath := filepath.Join(checkpoint.Folder(path), checkpoint.ConfigFile)
	kind, err := configKind(configPath)
	if err != nil {
		return c, nil, nil, err
	}
	s, err := openStore(path, info.IsDir())
	if err != nil {
		return c, nil, nil, err
	}
	c, entries, err := s.convert(configPath, kind)
	if err != nil {
		s.Close()
		return c, nil, nil, err
	}
	return c, graph.NewTensors(s.Path, entries), s.Close, nil
}

// convert finds out the layout and gives the tensors Hugging Face names. kind
// is the layout of the configuration.
func (s store) convert(configPath, kind string) (Config, map[string]graph.Lazy, error) {
	layout, err := s.layout()
	if err != nil {
		return Config{}, nil, err
	}
	if layout == LayoutHF {
		return s.huggingFace(configPath, kind)
	}
	if err := s.supported(); err != nil {
		return Config{}, nil, err
	}
	c, err := infer(s, layout)
	if err != nil {
		return c, nil, err
	}
	switch kind {
	case LayoutHF:
		if c, err = ReadConfig(configPath); err != nil {
			return c, nil, err
		}
	case LayoutTimm:
		t, err := readTimmConfig(configPath)
		if err != nil {
			return c, nil, err
		}
		if err := t.apply(&c, configPath); err != nil {
			return c, nil, err
		}
	}
	if c.Heads == 0 {
		if c.Heads = usualHeads(c.HiddenSize); c.Heads == 0 {
			return c, nil, errors.Errorf("%s: the number of heads of width %d is not known, want model_args.num_heads in %s",
				s.Path, c.HiddenSize, configPath)
		}
	}
	c = published(c)
	if err := c.Validate(); err != nil {
		return c, nil, errors.WithMessage(err, s.Path)
	}
	if err := s.deepEnough(c); err != nil {
		return c, nil, err
	}
	all, err := places(layout, c)
	if err != nil {
		return c, nil, err
	}
	// The head may be missing, other tensors may not.
	all = slices.DeleteFunc(all, func(p checkpoint.Place) bool {
		_, ok := s.Shapes[p.Name]
		return !ok && ofHead(p)
	})
	entries, err := s.Unpack(all)
	return c, entries, err
}

// deepEnough rejects a configuration of more layers than there are tensors,
// before each of them is looked for.
func (s store) deepEnough(c Config) error {
	if c.Layers > len(s.Shapes) {
		return errors.Errorf("%s: only %d tensors, want a model of %d layers", s.Path, len(s.Shapes), c.Layers)
	}
	return nil
}

// huggingFace reads the layout of transformers: ViTForImageClassification, or
// the ViTModel inside it, whose names lack a prefix. The pooler of the latter
// has no part in classification.
func (s store) huggingFace(configPath, kind string) (Config, map[string]graph.Lazy, error) {
	if kind != LayoutHF {
		return Config{}, nil, errors.Errorf("vit: %s: no model_type; want the config.json of a vit beside %s", configPath, s.Path)
	}
	c, err := ReadConfig(configPath)
	if err != nil {
		return c, nil, err
	}
	if err := s.deepEnough(c); err != nil {
		return c, nil, err
	}
	_, bare := s.Shapes[strings.TrimPrefix(classToken, "vit.")]
	entries := map[string]graph.Lazy{}
	for name, shape := range s.Shapes {
		as := name
		if bare && !strings.HasPrefix(name, "classifier.") {
			as = "vit." + name
		}
		if strings.HasPrefix(as, "vit.pooler.") {
			continue
		}
		entries[as] = graph.Lazy{Shape: shape, Read: func() ([]float32, error) { return s.Read(name) }}
	}
	return c, entries, nil
}

// layout tells the layout by the name of the class token.
func (s store) layout() (string, error) {
	for _, known := range [][2]string{
		{classToken, LayoutHF},
		{strings.TrimPrefix(classToken, "vit."), LayoutHF},
		{"cls_token", LayoutTimm},
		{"patch_embed.proj.weight", LayoutTimm},
		{"cls", LayoutJAX},
		{"embedding/kernel", LayoutJAX},
	} {
		if _, ok := s.Shapes[known[0]]; ok {
			return known[1], nil
		}
	}
	return "", errors.Errorf("%s: not a vision transformer: no tensor %q (transformers), \"cls_token\" (timm) or \"cls\" (JAX)", s.Path, classToken)
}

// supported rejects variants that would load but compute something else.
func (s store) supported() error {
	for _, name := range slices.Sorted(maps.Keys(s.Shapes)) {
		for _, part := range []string{"dist_token", "reg_token", "norm_pre.", "fc_norm.", "attn_pool.", ".ls1.", ".q_norm.", "MAPHead_"} {
			if strings.Contains(name, part) {
				return errors.Errorf("%s: tensor %q belongs to a variant of the vision transformer that is not supported", s.Path, name)
			}
		}
	}
	return nil
}

// configKind tells whose configuration the file is: that of transformers or of
// timm; "" if there is none.
func configKind(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", errors.Wrap(err, "vit")
	}
	var c struct {
		ModelType    string `json:"model_type"`
		Architecture string `json:"architecture"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return "", errors.Wrapf(err, "vit: %s", path)
	}
	switch {
	case c.ModelType == "vit":
		return LayoutHF, nil
	case c.ModelType != "":
		return "", errors.Errorf("vit: %s: model_type is %s, want vit", path, c.ModelType)
	case c.Architecture != "":
		return LayoutTimm, nil
	}
	return "", errors.Errorf("vit: %s: neither model_type nor architecture", path)
}

// openStore opens the tensors at path.
func openStore(path string, folder bool) (s store, err error) {
	if folder {
		archive := filepath.Join(path, jaxFile)
		if exists(archive) && !exists(filepath.Join(path, torchFile)) {
			path = archive
		}
	}
	if filepath.Ext(path) == ".npz" {
		if s.Store, err = checkpoint.OpenNPZ(path); err != nil {
			return s, err
		}
		if err := s.Rename("arrays", firstRelease); err != nil {
			s.Close()
			return s, err
		}
		return s, nil
	}
	s.Store, err = checkpoint.OpenSafetensors(path)
	return s, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// firstRelease is the name of a JAX array in the first release: training states
// nest the parameters, and later code counts modules by kind.
func firstRelease(name string) (string, bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "opt/target/"), "params/")
	for _, later := range [][2]string{
		{"MultiHeadDotProductAttention_0/", "MultiHeadDotProductAttention_1/"},
		{"MlpBlock_0/", "MlpBlock_3/"},
		{"LayerNorm_1/", "LayerNorm_2/"},
	} {
		name = strings.Replace(name, later[0], later[1], 1)
	}
	return name, true
}
