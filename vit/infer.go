package vit

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// outline names the tensors whose shapes tell a model's size.
type outline struct {
	positions, patch, block, fc1, head, queryBias string
}

var (
	timmOutline = outline{"pos_embed", "patch_embed.proj.weight", "blocks.", ".mlp.fc1.bias", "head.bias", ".attn.qkv.bias"}
	jaxOutline  = outline{"Transformer/posembed_input/pos_embedding", "embedding/kernel", "Transformer/encoderblock_",
		"/MlpBlock_3/Dense_0/bias", "head/bias", "/MultiHeadDotProductAttention_1/query/bias"}
)

// infer reads the configuration off the shapes of a timm or JAX checkpoint.
// PyTorch hides the number of heads, which is then left 0.
func infer(s store, layout string) (Config, error) {
	o, kernel, query := timmOutline, []int{0, 1, 2}, ""
	if layout == LayoutJAX {
		o, kernel = jaxOutline, []int{3, 2, 0} // (P, P, C, D)
		query = o.block + "0/MultiHeadDotProductAttention_1/query/kernel"
	}
	shape := func(name string, rank int) ([]int, error) {
		got, ok := s.Shapes[name]
		switch {
		case !ok:
			return nil, errors.Errorf("%s: no tensor %q", s.Path, name)
		case len(got) != rank || tensor.Shape(got).TotalSize() == 0:
			return nil, errors.Errorf("%s: tensor %q has shape %v, want %d axes", s.Path, name, tensor.Shape(got), rank)
		}
		return got, nil
	}
	patch, err := shape(o.patch, 4)
	if err != nil {
		return Config{}, err
	}
	positions, err := shape(o.positions, 3)
	if err != nil {
		return Config{}, err
	}
	hidden, err := shape(o.block+"0"+o.fc1, 1)
	if err != nil {
		return Config{}, err
	}
	side := int(math.Sqrt(float64(positions[1] - 1)))
	if side < 1 || side*side != positions[1]-1 {
		return Config{}, errors.Errorf("%s: tensor %q has shape %v, want a class token and a square of patches",
			s.Path, o.positions, tensor.Shape(positions))
	}
	_, bias := s.Shapes[o.block+"0"+o.queryBias]
	c := Config{
		HiddenSize:       patch[kernel[0]],
		Channels:         patch[kernel[1]],
		PatchSize:        patch[kernel[2]],
		ImageSize:        side * patch[kernel[2]],
		Intermediate:     hidden[0],
		HiddenAct:        "gelu",
		LayerNormEps:     1e-6,
		InitializerRange: 0.02,
		QKVBias:          bias,
	}
	c.Layers = depth(s, o.block)
	if query != "" {
		q, err := shape(query, 3)
		if err != nil {
			return Config{}, err
		}
		c.Heads = q[1]
	}
	classes := 2 // as in transformers, where there is no head
	if head, ok := s.Shapes[o.head]; ok && len(head) == 1 {
		classes = head[0]
	}
	c.SetLabels(numbered(classes))
	return c, nil
}

// depth counts the blocks whose tensors have names of the given prefix.
func depth(s store, prefix string) int {
	n := 0
	for name := range s.Shapes {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		end := strings.IndexAny(rest, "./")
		if end < 0 {
			continue
		}
		// More blocks than tensors is nonsense, not a size to believe.
		if i, err := strconv.Atoi(rest[:end]); err == nil && i < len(s.Shapes) {
			n = max(n, i+1)
		}
	}
	return n
}

func numbered(n int) []string {
	labels := make([]string, n)
	for i := range labels {
		labels[i] = fmt.Sprintf("LABEL_%d", i)
	}
	return labels
}

// usualHeads is the number of heads of the published models of a width: 64
// values a head but for the largest (arXiv:2106.04560).
func usualHeads(width int) int {
	switch width {
	case 1280, 1408, 1664: // huge, giant, gigantic
		return 16
	}
	if width%64 == 0 {
		return width / 64
	}
	return 0
}

// timmConfig is the part of timm's config.json that shapes do not tell.
type timmConfig struct {
	Architecture string    `json:"architecture"`
	NumClasses   int       `json:"num_classes"`
	NumFeatures  int       `json:"num_features"`
	GlobalPool   string    `json:"global_pool,omitempty"`
	LabelNames   []string  `json:"label_names,omitempty"`
	ModelArgs    timmSizes `json:"model_args"`
}

type timmSizes struct {
	ImageSize int     `json:"img_size,omitempty"`
	PatchSize int     `json:"patch_size,omitempty"`
	Channels  int     `json:"in_chans,omitempty"`
	Width     int     `json:"embed_dim,omitempty"`
	Depth     int     `json:"depth,omitempty"`
	Heads     int     `json:"num_heads,omitempty"`
	MLPRatio  float64 `json:"mlp_ratio,omitempty"`
	QKVBias   *bool   `json:"qkv_bias,omitempty"`
}

// newTimmConfig describes a model to timm. The architecture is a name timm
// knows; the sizes override its own.
func newTimmConfig(c Config) timmConfig {
	t := timmConfig{
		Architecture: "vit_base_patch16_224",
		NumClasses:   c.Classes(),
		NumFeatures:  c.HiddenSize,
		GlobalPool:   "token",
		ModelArgs: timmSizes{
			ImageSize: c.ImageSize, PatchSize: c.PatchSize, Channels: c.Channels,
			Width: c.HiddenSize, Depth: c.Layers, Heads: c.Heads,
			MLPRatio: float64(c.Intermediate) / float64(c.HiddenSize), QKVBias: &c.QKVBias,
		},
	}
	for i := range c.Classes() {
		t.LabelNames = append(t.LabelNames, c.Label(i))
	}
	return t
}

// apply completes a configuration that was read off shapes.
func (t timmConfig) apply(c *Config, path string) error {
	if t.GlobalPool != "" && t.GlobalPool != "token" {
		return errors.Errorf("%s: global_pool is %q, want \"token\"", path, t.GlobalPool)
	}
	if t.ModelArgs.Heads > 0 {
		c.Heads = t.ModelArgs.Heads
	}
	if len(t.LabelNames) == c.Classes() {
		c.SetLabels(t.LabelNames)
	}
	return nil
}

// readTimmConfig reads a config.json as timm writes it.
func readTimmConfig(path string) (timmConfig, error) {
	var t timmConfig
	text, err := os.ReadFile(path)
	if err != nil {
		return t, errors.Wrap(err, "vit")
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, errors.Wrapf(err, "vit: %s", path)
	}
	return t, nil
}
