package vit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/pkg/errors"

	"tessera/layers/config"
)

// Config has the keys of a published config.json. Pooling is our own; the
// published models pool the class token.
type Config struct {
	Architectures    []string          `json:"architectures"`
	ModelType        string            `json:"model_type"`
	HiddenSize       int               `json:"hidden_size"` // D
	Layers           int               `json:"num_hidden_layers"`
	Heads            int               `json:"num_attention_heads"`
	Intermediate     int               `json:"intermediate_size"` // hidden units of the MLP
	ImageSize        int               `json:"image_size"`        // pixels, square
	PatchSize        int               `json:"patch_size"`        // pixels, square
	Channels         int               `json:"num_channels"`
	HiddenAct        string            `json:"hidden_act"`
	LayerNormEps     float64           `json:"layer_norm_eps"`
	HiddenDropout    float64           `json:"hidden_dropout_prob"`          // 0 ≤ p < 1
	AttentionDropout float64           `json:"attention_probs_dropout_prob"` // 0 ≤ p < 1
	DropPath         float64           `json:"drop_path_rate,omitempty"`     // of the last block, rising linearly from 0
	InitializerRange float64           `json:"initializer_range"`            // standard deviation
	QKVBias          bool              `json:"qkv_bias"`
	Pooling          string            `json:"pooling,omitempty"` // "cls" (default) or "mean"
	Labels           map[string]string `json:"id2label"`
	LabelIDs         map[string]int    `json:"label2id"`
}

// base is what all presets share: three channels and 1,000 classes.
func base(image, patch, width, layers, heads int) Config {
	c := Config{
		Architectures: []string{"ViTForImageClassification"}, ModelType: "vit",
		HiddenSize: width, Layers: layers, Heads: heads, Intermediate: 4 * width,
		ImageSize: image, PatchSize: patch, Channels: 3,
		HiddenAct: "gelu", LayerNormEps: 1e-6, InitializerRange: 0.02, QKVBias: true,
	}
	labels := make([]string, 1000)
	for i := range labels {
		labels[i] = fmt.Sprintf("LABEL_%d", i)
	}
	c.SetLabels(labels)
	return c
}

// small is a model of width 64 for images of 28 to 64 pixels, initialized wider
// than large ones, as PyTorch's linear layers would be.
func small(image, patch, channels int) Config {
	c := base(image, patch, 64, 4, 4)
	c.Intermediate, c.Channels, c.InitializerRange = 128, channels, 0.07
	return c
}

var presets = config.Presets[Config]{
	{Name: "ti16", Config: func() Config { return base(224, 16, 192, 12, 3) }},
	{Name: "s16", Config: func() Config { return base(224, 16, 384, 12, 6) }},
	{Name: "s32", Config: func() Config { return base(224, 32, 384, 12, 6) }},
	{Name: "b16", Config: func() Config { return base(224, 16, 768, 12, 12) }},
	{Name: "b32", Config: func() Config { return base(224, 32, 768, 12, 12) }},
	{Name: "l16", Config: func() Config { return base(224, 16, 1024, 24, 16) }},
	{Name: "l32", Config: func() Config { return base(224, 32, 1024, 24, 16) }},
	{Name: "small28", Config: func() Config { return small(28, 7, 1) }},
	{Name: "small32", Config: func() Config { return small(32, 8, 3) }},
	{Name: "small64", Config: func() Config { return small(64, 8, 3) }},
}

// Presets lists the names of the presets: published sizes with their patch, and
// small ones with their image size.
func Presets() []string { return presets.Names() }

// Preset returns a named configuration.
func Preset(name string) (Config, error) { return presets.Find(name) }

// Classes is the number of classes.
func (c Config) Classes() int { return len(c.Labels) }

// Label names class i.
func (c Config) Label(i int) string { return c.Labels[strconv.Itoa(i)] }

// SetLabels names the classes, and thereby sets their number.
func (c *Config) SetLabels(labels []string) {
	c.Labels, c.LabelIDs = map[string]string{}, map[string]int{}
	for i, l := range labels {
		c.Labels[strconv.Itoa(i)] = l
		c.LabelIDs[l] = i
	}
}

// Grid is the number of patches along a side.
func (c Config) Grid() int { return c.ImageSize / c.PatchSize }

// Tokens is the number of tokens, the class token included.
func (c Config) Tokens() int { return 1 + c.Grid()*c.Grid() }

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults config.Faults
	faults.If(c.ModelType != "vit", "model_type is %q, want \"vit\"", c.ModelType)
	faults.Size("hidden_size", c.HiddenSize, 1, config.Largest)
	faults.Size("num_hidden_layers", c.Layers, 1, config.Largest)
	faults.Size("num_attention_heads", c.Heads, 1, config.Largest)
	faults.Size("intermediate_size", c.Intermediate, 1, config.Largest)
	faults.Size("image_size", c.ImageSize, 1, config.Largest)
	faults.Size("patch_size", c.PatchSize, 1, config.Largest)
	faults.Size("num_channels", c.Channels, 1, config.Largest)
	if len(faults) == 0 {
		faults.If(c.HiddenSize%c.Heads != 0, "num_attention_heads %d does not divide hidden_size %d", c.Heads, c.HiddenSize)
		faults.If(c.ImageSize%c.PatchSize != 0, "patch_size %d does not divide image_size %d", c.PatchSize, c.ImageSize)
	}
	faults.Probability("hidden_dropout_prob", c.HiddenDropout)
	faults.Probability("attention_probs_dropout_prob", c.AttentionDropout)
	faults.Probability("drop_path_rate", c.DropPath)
	faults.If(!(c.LayerNormEps > 0), "layer_norm_eps is %g, want more than 0", c.LayerNormEps)
	faults.If(!(c.InitializerRange >= 0), "initializer_range is %g, want 0 or more", c.InitializerRange)
	faults.If(!slices.Contains([]string{"", "cls", "mean"}, c.Pooling), "pooling is %q, want \"cls\" or \"mean\"", c.Pooling)
	faults.Activation("hidden_act", c.HiddenAct)
	faults.If(len(c.Labels) == 0, "id2label names no classes")
	for i := range len(c.Labels) {
		if _, ok := c.Labels[strconv.Itoa(i)]; !ok {
			faults.If(true, "id2label has %d classes but none numbered %d", len(c.Labels), i)
			break
		}
	}
	return faults.Err("vit")
}

// ReadConfig reads and validates a config.json. Keys that are missing have the
// values of Hugging Face's ViTConfig.
func ReadConfig(path string) (Config, error) { return config.Read(path, ParseConfig) }

// ParseConfig is ReadConfig of the contents of a file.
func ParseConfig(data []byte) (Config, error) {
	c := Config{
		HiddenSize: 768, Layers: 12, Heads: 12, Intermediate: 3072, ImageSize: 224, PatchSize: 16, Channels: 3,
		HiddenAct: "gelu", LayerNormEps: 1e-12, InitializerRange: 0.02, QKVBias: true,
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, errors.WithStack(err)
	}
	if c.Labels == nil {
		c.SetLabels([]string{"LABEL_0", "LABEL_1"})
	}
	return c, c.Validate()
}

// Write writes a config.json, atomically.
func (c Config) Write(path string) error { return config.Write(path, c) }
