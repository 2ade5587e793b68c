package dalle

import (
	"encoding/json"
	"math"

	"github.com/pkg/errors"

	"tessera/layers/config"
)

// How places of the image are told apart.
const (
	Learned = "learned" // a vector for each
	Axial   = "axial"   // the sum of a vector for the row and one for the column (arXiv:1912.12180)
)

// NoPadding is the padding of a model whose texts are all of full length.
const NoPadding = -1

// Config is a config.json.
type Config struct {
	ModelType   string  `json:"model_type"`
	TextVocab   int     `json:"text_vocab_size"`           // V of texts, padding included
	ImageVocab  int     `json:"image_vocab_size"`          // V of images
	TextTokens  int     `json:"max_text_len"`              // T
	ImageTokens int     `json:"max_image_len"`             // N, row by row of a square
	Width       int     `json:"d_model"`                   // D
	Heads       int     `json:"nhead"`                     // H
	Layers      int     `json:"num_layers"`                //
	Inner       int     `json:"dim_feedforward,omitempty"` // hidden units of the MLP; 0 means 4·D
	Activation  string  `json:"hidden_act"`                // of the MLP
	Eps         float64 `json:"layer_norm_eps"`

	Padding          int     `json:"pad_token_id"`     // token that fills texts up and is never attended to, or NoPadding
	Positions        string  `json:"image_positions"`  // Learned or Axial
	TextLoss         float64 `json:"text_loss_weight"` // share of the text in the loss, 0 ≤ w < 1; 1/8 in DALL·E, 0: text tokens see all text
	TextDropout      float64 `json:"text_dropout"`     // probability of training without the text, 0 ≤ p < 1
	Dropout          float64 `json:"dropout"`          // of hidden units and of both branches' outputs, 0 ≤ p < 1
	AttentionDropout float64 `json:"attention_dropout"`
	InitializerRange float64 `json:"initializer_range"` // standard deviation
}

// Small is a model for grids of 7×7 tokens of 128 codes and texts of few words;
// its vocabularies and lengths are to be set to those of the tokenizers.
func Small() Config {
	c := defaults()
	c.TextVocab, c.ImageVocab, c.TextTokens, c.ImageTokens = 1024, 128, 16, 49
	c.Width, c.Heads, c.Layers = 64, 4, 4
	c.TextDropout = 0.1
	c.Padding = c.TextVocab - 1
	return c
}

// defaults are what keys mean that are missing in a file.
func defaults() Config {
	return Config{
		ModelType: "dalle", Activation: "gelu", Eps: 1e-5,
		Padding: NoPadding, Positions: Learned, InitializerRange: 0.02,
	}
}

// Hidden is the number of hidden units of the MLP.
func (c Config) Hidden() int {
	if c.Inner == 0 {
		return 4 * c.Width
	}
	return c.Inner
}

// Grid is the number of image tokens along a side, or 0 if they make no square.
func (c Config) Grid() int {
	g := int(math.Round(math.Sqrt(float64(c.ImageTokens))))
	if g*g != c.ImageTokens {
		return 0
	}
	return g
}

// Causal tells whether a text token sees only those before it: where the model
// also predicts texts.
func (c Config) Causal() bool { return c.TextLoss > 0 }

// sequence is the number of tokens that the transformer reads: the last image
// token is only predicted.
func (c Config) sequence() int { return c.TextTokens + c.ImageTokens - 1 }

// longest bounds both lengths, whose sum is squared for masks.
const longest = 1 << 12

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults config.Faults
	faults.If(c.ModelType != "dalle", "model_type is %q, want \"dalle\"", c.ModelType)
	faults.Size("text_vocab_size", c.TextVocab, 1, config.Largest)
	faults.Size("image_vocab_size", c.ImageVocab, 1, config.Largest)
	faults.Size("max_text_len", c.TextTokens, 1, longest)
	faults.Size("max_image_len", c.ImageTokens, 2, longest)
	faults.Size("d_model", c.Width, 1, config.Largest)
	faults.Size("nhead", c.Heads, 1, config.Largest)
	faults.Size("num_layers", c.Layers, 1, config.Largest)
	faults.Size("dim_feedforward", c.Inner, 0, config.Largest)
	faults.If(len(faults) == 0 && c.Width%c.Heads != 0, "nhead %d does not divide d_model %d", c.Heads, c.Width)
	faults.If(c.Padding < NoPadding || c.Padding >= c.TextVocab, "pad_token_id is %d, want a token below text_vocab_size %d, or -1", c.Padding, c.TextVocab)
	switch c.Positions {
	case Learned:
	case Axial:
		faults.If(c.ImageTokens > 1 && c.ImageTokens <= longest && c.Grid() == 0, "max_image_len %d is no square, which image_positions %q want", c.ImageTokens, Axial)
	default:
		faults.If(true, "image_positions is %q, want %q or %q", c.Positions, Learned, Axial)
	}
	faults.Probability("text_loss_weight", c.TextLoss)
	faults.Probability("text_dropout", c.TextDropout)
	faults.Probability("dropout", c.Dropout)
	faults.Probability("attention_dropout", c.AttentionDropout)
	faults.If(c.TextDropout > 0 && c.Padding == NoPadding, "text_dropout is %g without a pad_token_id", c.TextDropout)
	faults.If(c.TextLoss > 0 && c.TextTokens < 2, "text_loss_weight is %g, but max_text_len 1 leaves no token to predict", c.TextLoss)
	faults.If(!(c.Eps > 0 && c.Eps < 1), "layer_norm_eps is %g, want more than 0, less than 1", c.Eps)
	faults.If(!(c.InitializerRange >= 0 && c.InitializerRange < 1e6), "initializer_range is %g, want 0 or more", c.InitializerRange)
	faults.Activation("hidden_act", c.Activation)
	return faults.Err("dalle")
}

// ReadConfig reads and validates a config.json. Keys that are missing mean
// learned positions, no padding, no loss of texts, and no dropout.
func ReadConfig(path string) (Config, error) { return config.Read(path, ParseConfig) }

// ParseConfig is ReadConfig of the contents of a file.
func ParseConfig(text []byte) (Config, error) {
	c := defaults()
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, errors.WithStack(err)
	}
	return c, c.Validate()
}

// Write writes a config.json, whole or not at all.
func (c Config) Write(path string) error { return config.Write(path, c) }
