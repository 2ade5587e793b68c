package gpt2

import (
	"encoding/json"

	"github.com/pkg/errors"

	"tessera/layers/config"
)

// Config has the keys of a published config.json.
type Config struct {
	Architectures    []string `json:"architectures"`
	ModelType        string   `json:"model_type"`
	VocabSize        int      `json:"vocab_size"`          // V
	Context          int      `json:"n_positions"`         // tokens of a sequence, at most
	Width            int      `json:"n_embd"`              // D
	Layers           int      `json:"n_layer"`             //
	Heads            int      `json:"n_head"`              // H
	Inner            int      `json:"n_inner,omitempty"`   // hidden units of the MLP; 0 means 4·D
	Activation       string   `json:"activation_function"` // of the MLP
	LayerNormEps     float64  `json:"layer_norm_epsilon"`
	InitializerRange float64  `json:"initializer_range"` // standard deviation
	EmbedDropout     float64  `json:"embd_pdrop"`        // of embeddings, 0 ≤ p < 1
	AttentionDropout float64  `json:"attn_pdrop"`        // of attention weights, 0 ≤ p < 1
	ResidualDropout  float64  `json:"resid_pdrop"`       // of both branches' outputs, 0 ≤ p < 1
	BeginID          int      `json:"bos_token_id"`
	EndID            int      `json:"eos_token_id"`
}

// defaults are those of Hugging Face's GPT2Config: the small model.
func defaults() Config {
	return Config{
		Architectures: []string{"GPT2LMHeadModel"}, ModelType: "gpt2",
		VocabSize: 50257, Context: 1024, Width: 768, Layers: 12, Heads: 12,
		Activation: "gelu_new", LayerNormEps: 1e-5, InitializerRange: 0.02,
		EmbedDropout: 0.1, AttentionDropout: 0.1, ResidualDropout: 0.1,
		BeginID: 50256, EndID: 50256,
	}
}

// Small is GPT-2 of 124 million parameters.
func Small() Config { return defaults() }

// Medium is GPT-2 of 355 million parameters.
func Medium() Config { return sized(1024, 24, 16) }

// Large is GPT-2 of 774 million parameters.
func Large() Config { return sized(1280, 36, 20) }

// XL is GPT-2 of 1.5 billion parameters.
func XL() Config { return sized(1600, 48, 25) }

func sized(width, layers, heads int) Config {
	c := defaults()
	c.Width, c.Layers, c.Heads = width, layers, heads
	return c
}

// Hidden is the number of hidden units of the MLP.
func (c Config) Hidden() int {
	if c.Inner == 0 {
		return 4 * c.Width
	}
	return c.Inner
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults config.Faults
	faults.If(c.ModelType != "gpt2", "model_type is %q, want \"gpt2\"", c.ModelType)
	faults.Size("vocab_size", c.VocabSize, 1, config.Largest)
	faults.Size("n_positions", c.Context, 1, config.Largest)
	faults.Size("n_embd", c.Width, 1, config.Largest)
	faults.Size("n_layer", c.Layers, 1, config.Largest)
	faults.Size("n_head", c.Heads, 1, config.Largest)
	faults.Size("n_inner", c.Hidden(), 1, config.Largest)
	faults.If(len(faults) == 0 && c.Width%c.Heads != 0, "n_head %d does not divide n_embd %d", c.Heads, c.Width)
	faults.Probability("embd_pdrop", c.EmbedDropout)
	faults.Probability("attn_pdrop", c.AttentionDropout)
	faults.Probability("resid_pdrop", c.ResidualDropout)
	faults.If(!(c.LayerNormEps > 0), "layer_norm_epsilon is %g, want more than 0", c.LayerNormEps)
	faults.If(!(c.InitializerRange >= 0), "initializer_range is %g, want 0 or more", c.InitializerRange)
	faults.Activation("activation_function", c.Activation)
	return faults.Err("gpt2")
}

// ReadConfig reads and validates a config.json. Keys that are missing have the
// values of Hugging Face's GPT2Config.
func ReadConfig(path string) (Config, error) { return config.Read(path, ParseConfig) }

// ParseConfig is ReadConfig of the contents of a file.
func ParseConfig(data []byte) (Config, error) {
	c := defaults()
	if err := json.Unmarshal(data, &c); err != nil {
		return Config{}, errors.WithStack(err)
	}
	// Variants that would load but compute something else.
	variant := struct {
		Scaled    bool `json:"scale_attn_weights"`
		ByLayer   bool `json:"scale_attn_by_inverse_layer_idx"`
		Tied      bool `json:"tie_word_embeddings"`
		CrossAttn bool `json:"add_cross_attention"`
	}{Scaled: true, Tied: true}
	if err := json.Unmarshal(data, &variant); err != nil {
		return Config{}, errors.WithStack(err)
	}
	switch {
	case !variant.Scaled:
		return Config{}, errors.New("gpt2: scale_attn_weights is false, want true")
	case variant.ByLayer:
		return Config{}, errors.New("gpt2: scale_attn_by_inverse_layer_idx is true, want false")
	case !variant.Tied:
		return Config{}, errors.New("gpt2: tie_word_embeddings is false, want true")
	case variant.CrossAttn:
		return Config{}, errors.New("gpt2: add_cross_attention is true, want false")
	}
	return c, c.Validate()
}

// Write writes a config.json, atomically.
func (c Config) Write(path string) error { return config.Write(path, c) }
