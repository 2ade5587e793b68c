package clip

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/pkg/errors"
)

// The files of an open_clip model.
const (
	openCLIPFile   = "open_clip_model.safetensors"
	openCLIPConfig = "open_clip_config.json"
)

// openCLIP is the part of open_clip_config.json that describes a model of two
// plain towers.
type openCLIP struct {
	Model openCLIPModel `json:"model_cfg"`
}

type openCLIPModel struct {
	Width     int            `json:"embed_dim"`
	QuickGELU bool           `json:"quick_gelu"`
	LogitBias *float64       `json:"init_logit_bias,omitempty"`
	Vision    openCLIPVision `json:"vision_cfg"`
	Text      openCLIPText   `json:"text_cfg"`
}

type openCLIPVision struct {
	ImageSize int     `json:"image_size"`
	Layers    int     `json:"layers"`
	Width     int     `json:"width"`
	HeadWidth int     `json:"head_width,omitempty"`
	PatchSize int     `json:"patch_size"`
	MLPRatio  float64 `json:"mlp_ratio,omitempty"`
}

type openCLIPText struct {
	Context    int     `json:"context_length"`
	Vocabulary int     `json:"vocab_size"`
	Width      int     `json:"width"`
	Heads      int     `json:"heads"`
	Layers     int     `json:"layers"`
	MLPRatio   float64 `json:"mlp_ratio,omitempty"`
}

// usual holds, of open_clip's keys under which a tower would compute something
// else, the values with which it does not.
var usual = map[string]any{
	"act_kwargs":       map[string]any{},
	"attentional_pool": false,
	"embed_cls":        false,
	"hf_model_name":    "",
	"no_causal_mask":   false,
	"no_ln_pre":        false,
	"norm_kwargs":      map[string]any{},
	"pos_embed_type":   "learnable",
	"proj_bias":        false,
	"timm_model_name":  "",
}

// pooling is the usual pool_type by tower.
var pooling = map[string]string{"vision_cfg": "tok", "text_cfg": "argmax"}

// readOpenCLIP reads open_clip_config.json; ok is false if there is none.
// Variants of the architecture are errors.
func readOpenCLIP(path string) (m openCLIPModel, ok bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, errors.Wrap(err, "clip")
	}
	var loose struct {
		Model map[string]json.RawMessage `json:"model_cfg"`
	}
	if err := json.Unmarshal(text, &loose); err != nil {
		return m, false, errors.Wrapf(err, "clip: %s", path)
	}
	for tower, pool := range pooling {
		var keys map[string]any
		if err := json.Unmarshal(loose.Model[tower], &keys); err != nil {
			return m, false, errors.Wrapf(err, "clip: %s: %s", path, tower)
		}
		for key, v := range keys {
			want, known := usual[key]
			if key == "pool_type" {
				want, known = pool, true
			}
			if known && v != nil && !reflect.DeepEqual(v, want) {
				return m, false, errors.Errorf("clip: %s: %s.%s is %v; only %v is supported", path, tower, key, v, want)
			}
		}
	}
	var c openCLIP
	if err := json.Unmarshal(text, &c); err != nil {
		return m, false, errors.Wrapf(err, "clip: %s", path)
	}
	return c.Model, true, nil
}

// newOpenCLIP describes a model to open_clip, which knows two activations and
// one ε, and no model whose towers differ in them.
func newOpenCLIP(c Config) (openCLIP, error) {
	v, t := c.Vision, c.Text
	act := t.HiddenAct
	switch {
	case v.HiddenAct != act:
		return openCLIP{}, errors.Errorf("clip: hidden_act is %q for images and %q for texts; OpenAI's layout has one for both", v.HiddenAct, act)
	case act != "quick_gelu" && act != "gelu":
		return openCLIP{}, errors.Errorf("clip: hidden_act is %q; OpenAI's layout has quick_gelu and gelu", act)
	case v.LayerNormEps != usualEps || t.LayerNormEps != usualEps:
		return openCLIP{}, errors.Errorf("clip: layer_norm_eps is %g and %g; OpenAI's layout has %g", v.LayerNormEps, t.LayerNormEps, usualEps)
	}
	return openCLIP{openCLIPModel{
		Width: c.ProjectionDim, QuickGELU: act == "quick_gelu", LogitBias: c.LogitBias,
		Vision: openCLIPVision{
			ImageSize: v.ImageSize, Layers: v.Layers, Width: v.HiddenSize, HeadWidth: v.HiddenSize / v.Heads,
			PatchSize: v.PatchSize, MLPRatio: float64(v.Intermediate) / float64(v.HiddenSize),
		},
		Text: openCLIPText{
			Context: t.Context, Vocabulary: t.Vocabulary, Width: t.HiddenSize, Heads: t.Heads, Layers: t.Layers,
			MLPRatio: float64(t.Intermediate) / float64(t.HiddenSize),
		},
	}}, nil
}

const usualEps = 1e-5

// heads gives the numbers of heads that open_clip's configuration states.
func (m openCLIPModel) apply(c *Config, path string) error {
	if m.Vision.HeadWidth > 0 {
		if c.Vision.HiddenSize%m.Vision.HeadWidth != 0 {
			return errors.Errorf("clip: %s: head_width %d does not divide the width %d", path, m.Vision.HeadWidth, c.Vision.HiddenSize)
		}
		c.Vision.Heads = c.Vision.HiddenSize / m.Vision.HeadWidth
	}
	if m.Text.Heads > 0 {
		c.Text.Heads = m.Text.Heads
	}
	act := "gelu"
	if m.QuickGELU {
		act = "quick_gelu"
	}
	c.Vision.HiddenAct, c.Text.HiddenAct = act, act
	return nil
}

// infer reads the configuration off the shapes of OpenAI's layout. What they do
// not tell is open_clip's configuration in dir, or the code of openai/CLIP:
// heads have 64 values.
func (s store) infer(dir string, o LoadOptions) (Config, error) {
	c, err := s.sizes()
	if err != nil {
		return c, err
	}
	c.Vision.Heads, c.Text.Heads = max(1, c.Vision.HiddenSize/64), max(1, c.Text.HiddenSize/64)
	path := filepath.Join(dir, openCLIPConfig)
	m, ok, err := readOpenCLIP(path)
	switch {
	case err != nil:
		return c, err
	case ok:
		err = m.apply(&c, path)
	case s.fromOpenAI():
		c.Vision.HiddenAct, c.Text.HiddenAct = "quick_gelu", "quick_gelu"
	case o.HiddenAct != "":
		c.Vision.HiddenAct, c.Text.HiddenAct = o.HiddenAct, o.HiddenAct
	default:
		err = errors.Errorf("%s: no %s or %s beside it tells the activation: say whether it is quick_gelu (OpenAI, MetaCLIP, DFN) or gelu (LAION)",
			s.Path, configFile, openCLIPConfig)
	}
	if err != nil {
		return c, err
	}
	return c, errors.WithMessage(c.Validate(), s.Path)
}

// fromOpenAI tells OpenAI's own files from open_clip's, whose names are equal.
func (s store) fromOpenAI() bool {
	for _, name := range sizesOf {
		if _, ok := s.Shapes[name]; !ok {
			return false
		}
	}
	return true
}

// sizes reads the widths and depths off the shapes.
func (s store) sizes() (Config, error) {
	var faults []error
	dims := func(name string, rank int) []int {
		got, ok := s.Shapes[name]
		if !ok || len(got) != rank {
			faults = append(faults, errors.Errorf("%s: no tensor %q of %d axes", s.Path, name, rank))
			return make([]int, rank)
		}
		return got
	}
	c := defaults()
	kernel := dims("visual.conv1.weight", 4)
	v := &c.Vision
	v.HiddenSize, v.Channels, v.PatchSize = kernel[0], kernel[1], kernel[2]
	v.Intermediate = dims("visual.transformer.resblocks.0.mlp.c_fc.bias", 1)[0]
	v.Layers = s.depth("visual.transformer.resblocks.%d.ln_1.bias")
	n, side := dims("visual.positional_embedding", 2)[0], 0
	for 1+side*side < n {
		side++
	}
	if 1+side*side != n {
		faults = append(faults, errors.Errorf("%s: visual.positional_embedding has %d rows, want a class token and a square of patches", s.Path, n))
	}
	v.ImageSize = side * v.PatchSize
	t := &c.Text
	t.Context = dims("positional_embedding", 2)[0]
	table := dims("token_embedding.weight", 2)
	t.HiddenSize = table[1]
	c.SetVocabulary(table[0], table[0]-2, table[0]-1)
	t.Intermediate = dims("transformer.resblocks.0.mlp.c_fc.bias", 1)[0]
	t.Layers = s.depth("transformer.resblocks.%d.ln_1.bias")
	c.ProjectionDim = dims("visual.proj", 2)[1]
	v.ProjectionDim, t.ProjectionDim = c.ProjectionDim, c.ProjectionDim
	if len(faults) > 0 {
		return c, faults[0]
	}
	return c, nil
}

// depth counts the blocks that have a tensor of the given name.
func (s store) depth(name string) int {
	for i := 0; ; i++ {
		if _, ok := s.Shapes[fmt.Sprintf(name, i)]; !ok {
			return i
		}
	}
}
