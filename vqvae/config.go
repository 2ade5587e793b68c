package vqvae

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/layers/config"
)

// The kinds of codebook.
const (
	Gradient = "gradient" // learned by gradient (arXiv:1711.00937)
	EMA      = "ema"      // moving averages of the vectors assigned to a code (appendix A.1 there)
	Gumbel   = "gumbel"   // codes drawn from a softmax (arXiv:1611.01144, 2102.12092)
	FSQ      = "fsq"      // every dimension rounded to a few levels (arXiv:2309.15505)
)

// Quantizers lists the kinds of codebook.
func Quantizers() []string { return []string{Gradient, EMA, Gumbel, FSQ} }

// Config is a config.json.
type Config struct {
	ModelType      string     `json:"model_type"`
	ImageSize      int        `json:"image_size"` // pixels, square
	Channels       int        `json:"in_channels"`
	PixelRange     [2]float64 `json:"pixel_range"`               // of images in and out; black and white
	HiddenDims     []int      `json:"hidden_dims"`               // channels after each halving of the image
	ResidualBlocks int        `json:"residual_blocks,omitempty"` // after the last halving, and before the first doubling
	EmbeddingDim   int        `json:"embedding_dim"`             // D
	NumEmbeddings  int        `json:"num_embeddings"`            // K
	Slope          float64    `json:"leaky_relu_slope"`
	Eps            float64    `json:"batch_norm_eps"`
	Momentum       float64    `json:"batch_norm_momentum"` // share of the batch in running statistics

	Quantizer   string  `json:"quantizer"`                 // one of Quantizers
	Commitment  float64 `json:"commitment_cost"`           // β: weight of the encoder's distance from its codes
	Decay       float64 `json:"ema_decay,omitempty"`       // ema: of the averages, 0 ≤ d < 1
	Dead        float64 `json:"dead_code_share,omitempty"` // ema: share of the mean use below which a code is replaced
	Temperature float64 `json:"temperature,omitempty"`     // gumbel: of the softmax
	KLWeight    float64 `json:"kl_weight,omitempty"`       // gumbel: of the divergence from even use
	Levels      []int   `json:"fsq_levels,omitempty"`      // fsq: of each dimension; their product is K
}

// base is what all presets share.
func base(size, channels, width, codes int) Config {
	return Config{
		ModelType: "vqvae", ImageSize: size, Channels: channels, PixelRange: [2]float64{0, 1},
		HiddenDims: []int{width / 2, width}, EmbeddingDim: width / 2, NumEmbeddings: codes,
		Slope: 0.01, Eps: 1e-5, Momentum: 0.1, Quantizer: EMA, Commitment: 0.25, Decay: 0.99, Dead: 0.02,
	}
}

var presets = config.Presets[Config]{
	{Name: "small28", Config: func() Config { return base(28, 1, 64, 512) }},   // 7×7 tokens
	{Name: "small32", Config: func() Config { return base(32, 3, 64, 512) }},   // 8×8
	{Name: "small64", Config: func() Config { return base(64, 3, 128, 512) }},  // 16×16
	{Name: "base224", Config: func() Config { return base(224, 3, 256, 512) }}, // 56×56
}

// Presets lists the names of the presets, which end in their image size.
func Presets() []string { return presets.Names() }

// Preset returns a named configuration, with a codebook of moving averages.
func Preset(name string) (Config, error) { return presets.Find(name) }

// SetQuantizer chooses the kind of codebook with its usual settings and about
// the given number of codes: exactly as many, but for fsq the nearest product of
// levels, with as many dimensions as levels.
func (c *Config) SetQuantizer(kind string, codes int) error {
	c.Quantizer, c.NumEmbeddings = kind, codes
	c.Decay, c.Dead, c.Temperature, c.KLWeight, c.Levels = 0, 0, 0, 0, nil
	switch kind {
	case Gradient:
	case EMA:
		c.Decay, c.Dead = 0.99, 0.02
	case Gumbel:
		c.Temperature, c.KLWeight = 1, 5e-4
	case FSQ:
		c.Levels = levels(codes)
		c.EmbeddingDim, c.NumEmbeddings = len(c.Levels), product(c.Levels)
	default:
		return errors.Errorf("unknown quantizer %q, want one of %s", kind, strings.Join(Quantizers(), ", "))
	}
	return nil
}

// levels chooses those whose product is nearest to the number of codes among
// the usual ones, few dimensions of 5 to 8 levels (arXiv:2309.15505, table 1).
func levels(codes int) []int {
	best := []int{5}
	for _, l := range [][]int{
		{8}, {5, 3}, {6, 5}, {8, 8}, {5, 5, 5}, {8, 6, 5}, {8, 8, 8}, {8, 5, 5, 5}, {8, 8, 6, 5}, {7, 5, 5, 5, 5}, {8, 8, 8, 6, 5}, {8, 8, 8, 5, 5, 5},
	} {
		if distanceTo(product(l), codes) < distanceTo(product(best), codes) {
			best = l
		}
	}
	return slices.Clone(best)
}

func distanceTo(a, b int) int { return max(a-b, b-a) }

func product(x []int) int {
	n := 1
	for _, v := range x {
		n *= v
	}
	return n
}

// Grid is the number of tokens along a side.
func (c Config) Grid() int { return c.ImageSize >> len(c.HiddenDims) }

// Tokens is the number of tokens of an image.
func (c Config) Tokens() int { return c.Grid() * c.Grid() }

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults config.Faults
	faults.If(c.ModelType != "vqvae", "model_type is %q, want \"vqvae\"", c.ModelType)
	faults.Size("image_size", c.ImageSize, 1, config.Largest)
	faults.Size("in_channels", c.Channels, 1, config.Largest)
	faults.Size("embedding_dim", c.EmbeddingDim, 1, config.Largest)
	faults.Size("num_embeddings", c.NumEmbeddings, 1, config.Largest)
	for i, n := range c.HiddenDims {
		faults.Size(fmt.Sprintf("hidden_dims[%d]", i), n, 1, config.Largest)
	}
	depth := len(c.HiddenDims)
	faults.If(depth < 1 || depth > 16, "hidden_dims has %d entries, want 1 to 16", depth)
	faults.If(depth >= 1 && depth <= 16 && c.ImageSize%(1<<depth) != 0, "image_size %d cannot be halved %d times, once for each of hidden_dims", c.ImageSize, depth)
	faults.If(c.ResidualBlocks < 0 || c.ResidualBlocks > 1024, "residual_blocks is %d, want 0 to 1024", c.ResidualBlocks)
	lo, hi := c.PixelRange[0], c.PixelRange[1]
	faults.If(!(lo < hi && lo >= -1e6 && hi <= 1e6), "pixel_range is [%g, %g], want the values of black and of white", lo, hi)
	faults.If(!(c.Slope >= 0 && c.Slope <= 1), "leaky_relu_slope is %g, want 0 to 1", c.Slope)
	faults.If(!(c.Eps > 0 && c.Eps < 1), "batch_norm_eps is %g, want more than 0, less than 1", c.Eps)
	faults.If(!(c.Momentum >= 0 && c.Momentum <= 1), "batch_norm_momentum is %g, want 0 to 1", c.Momentum)
	faults.If(!(c.Commitment >= 0 && c.Commitment <= 1e6), "commitment_cost is %g, want 0 or more", c.Commitment)
	switch c.Quantizer {
	case Gradient:
	case EMA:
		faults.If(!(c.Decay >= 0 && c.Decay < 1), "ema_decay is %g, want at least 0, less than 1", c.Decay)
		faults.If(!(c.Dead >= 0 && c.Dead < 1), "dead_code_share is %g, want at least 0, less than 1", c.Dead)
	case Gumbel:
		faults.If(!(c.Temperature > 0 && c.Temperature <= 1e6), "temperature is %g, want more than 0", c.Temperature)
		faults.If(!(c.KLWeight >= 0 && c.KLWeight <= 1e6), "kl_weight is %g, want 0 or more", c.KLWeight)
	case FSQ:
		codes := 1
		for i, n := range c.Levels {
			faults.If(n < 2 || n > 1024, "fsq_levels[%d] is %d, want 2 to 1024", i, n)
			codes = min(config.Largest+1, codes*max(1, min(n, 1024)))
		}
		faults.If(codes != c.NumEmbeddings, "fsq_levels make %d codes, num_embeddings is %d", codes, c.NumEmbeddings)
		faults.If(len(c.Levels) != c.EmbeddingDim, "fsq_levels has %d entries, embedding_dim is %d", len(c.Levels), c.EmbeddingDim)
	default:
		faults.If(true, "quantizer is %q, want one of %s", c.Quantizer, strings.Join(Quantizers(), ", "))
	}
	return faults.Err("vqvae")
}

// ReadConfig reads and validates a config.json. Missing keys mean a codebook
// trained by gradient and pixels from 0 to 1.
func ReadConfig(path string) (Config, error) { return config.Read(path, ParseConfig) }

// ParseConfig is ReadConfig of the contents of a file.
func ParseConfig(text []byte) (Config, error) {
	c := Config{
		PixelRange: [2]float64{0, 1}, Slope: 0.01, Eps: 1e-5, Momentum: 0.1,
		Quantizer: Gradient, Commitment: 0.25,
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, errors.WithStack(err)
	}
	return c, c.Validate()
}

// Write writes a config.json, whole or not at all.
func (c Config) Write(path string) error { return config.Write(path, c) }
