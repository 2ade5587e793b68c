package flamingo

import (
	"encoding/json"

	"github.com/pkg/errors"

	"tessera/flamingo/gpt2"
	"tessera/layers/config"
)

// Config is a config.json.
type Config struct {
	ModelType string          `json:"model_type"`
	Text      gpt2.Config     `json:"text_config"` // without the added tokens
	Vision    int             `json:"vision_dim"`  // E, width of a tower's patches
	Resampler ResamplerConfig `json:"resampler"`
	Cross     CrossConfig     `json:"cross_attention"`
	Every     int             `json:"cross_attn_every_n_layers"`   // cross-attention before each n-th block
	Immediate bool            `json:"only_attend_immediate_media"` // a text token sees the image before it; else all before it
	Added     int             `json:"added_tokens,omitempty"`      // A, tokens after those of the language model, whose rows are trained
	Media     int             `json:"media_token_id"`              // stands for an image
	EndChunk  int             `json:"endofchunk_token_id"`         // ends what belongs to an image; NoToken: none
	Padding   int             `json:"pad_token_id"`                // NoToken: none
	Tower     string          `json:"vision_model_type,omitempty"` // model_type of the tower that made the patches
	Patches   int             `json:"vision_tokens,omitempty"`     // of an image by that tower; 0: any number
	Shown     Shown           `json:"vision_shown,omitempty"`      // which of the tower's tokens are the patches
}

// Shown says which tokens of a vision tower are shown to the resampler.
type Shown string

// What can be shown.
const (
	ShowPatches Shown = ""      // those of patches, as open_flamingo does
	ShowAll     Shown = "all"   // the class token before them, as BLIP-2 does
	ShowClass   Shown = "class" // the class token alone, as ClipCap does (arXiv:2111.09734)
)

// ParseShown reads "patches", "all" or "class".
func ParseShown(s string) (Shown, error) {
	switch s {
	case "patches":
		return ShowPatches, nil
	case "all", "class":
		return Shown(s), nil
	}
	return "", errors.Errorf("flamingo: %q is nothing to show, want patches, all or class", s)
}

// NoToken stands for a token that a vocabulary does not have.
const NoToken = -1

// ResamplerConfig sizes the Perceiver resampler.
type ResamplerConfig struct {
	Depth     int `json:"depth"`
	Latents   int `json:"num_latents"` // of an image, whatever its patches
	Heads     int `json:"heads"`
	HeadWidth int `json:"dim_head"`
	Mult      int `json:"ff_mult"`                  // hidden units of the feed-forward, in widths
	MaxImages int `json:"max_num_media,omitempty"`  // of a text, told apart by learned vectors; 0: not told apart
	MaxFrames int `json:"max_num_frames,omitempty"` // of an image, told apart by learned vectors; 0: not told apart
}

// CrossConfig sizes the gated cross-attention.
type CrossConfig struct {
	Heads     int `json:"heads"`
	HeadWidth int `json:"dim_head"`
	Mult      int `json:"ff_mult"`
}

// defaults are what keys mean that are missing in a file: the published sizes.
func defaults() Config {
	return Config{
		Resampler: ResamplerConfig{Depth: 6, Latents: 64, Heads: 8, HeadWidth: 64, Mult: 4},
		Cross:     CrossConfig{Heads: 8, HeadWidth: 64, Mult: 4},
		Every:     1, Immediate: true, EndChunk: NoToken, Padding: NoToken,
	}
}

// For is the configuration for a language model and patches of width e, with
// the published sizes and three tokens added: <image>, <|endofchunk|> and
// padding.
func For(text gpt2.Config, e int) Config {
	c := defaults()
	c.ModelType, c.Text, c.Vision, c.Added = "flamingo", text, e, 3
	c.Media, c.EndChunk, c.Padding = text.VocabSize, text.VocabSize+1, text.VocabSize+2
	return c
}

// Vocabulary is the number of tokens, the added ones included.
func (c Config) Vocabulary() int { return c.Text.VocabSize + c.Added }

// gated tells whether cross-attention stands before block i of the language
// model.
func (c Config) gated(i int) bool { return (i+1)%c.Every == 0 }

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults config.Faults
	faults.If(c.ModelType != "flamingo", "model_type is %q, want \"flamingo\"", c.ModelType)
	err := c.Text.Validate()
	faults.If(err != nil, "text_config: %v", err)
	const most = 1 << 16
	faults.Size("vision_dim", c.Vision, 1, most)
	faults.Size("cross_attn_every_n_layers", c.Every, 1, most)
	faults.Size("added_tokens", c.Added, 0, most)
	faults.Size("vision_tokens", c.Patches, 0, most)
	faults.If(c.Shown != ShowPatches && c.Shown != ShowAll && c.Shown != ShowClass, "vision_shown is %q, want \"\", \"all\" or \"class\"", c.Shown)
	faults.Size("resampler.depth", c.Resampler.Depth, 1, most)
	faults.Size("resampler.num_latents", c.Resampler.Latents, 1, most)
	faults.Size("resampler.heads", c.Resampler.Heads, 1, most)
	faults.Size("resampler.dim_head", c.Resampler.HeadWidth, 1, most)
	faults.Size("resampler.ff_mult", c.Resampler.Mult, 1, most)
	faults.Size("resampler.max_num_media", c.Resampler.MaxImages, 0, most)
	faults.Size("resampler.max_num_frames", c.Resampler.MaxFrames, 0, most)
	faults.Size("cross_attention.heads", c.Cross.Heads, 1, most)
	faults.Size("cross_attention.dim_head", c.Cross.HeadWidth, 1, most)
	faults.Size("cross_attention.ff_mult", c.Cross.Mult, 1, most)
	faults.If(c.Every > c.Text.Layers, "cross_attn_every_n_layers is %d, but the language model has %d layers", c.Every, c.Text.Layers)
	for _, t := range []struct {
		key       string
		id, least int
	}{
		{"media_token_id", c.Media, 0}, {"endofchunk_token_id", c.EndChunk, NoToken}, {"pad_token_id", c.Padding, NoToken},
	} {
		faults.If(t.id < t.least || t.id >= c.Vocabulary(), "%s is %d in a vocabulary of %d", t.key, t.id, c.Vocabulary())
	}
	faults.If(c.Media == c.EndChunk || c.Media == c.Padding, "media_token_id %d is that of another special token", c.Media)
	return faults.Err("flamingo")
}

// ReadConfig reads and validates a config.json. Missing sizes are the published
// ones, those of text_config Hugging Face's for GPT-2.
func ReadConfig(path string) (Config, error) { return config.Read(path, ParseConfig) }

// ParseConfig is ReadConfig of the contents of a file.
func ParseConfig(text []byte) (Config, error) {
	type plain Config // without the key that has defaults of its own
	file := struct {
		plain
		Text json.RawMessage `json:"text_config"`
	}{plain: plain(defaults())}
	if err := json.Unmarshal(text, &file); err != nil {
		return Config{}, errors.WithStack(err)
	}
	c := Config(file.plain)
	if len(file.Text) == 0 {
		return Config{}, errors.New("flamingo: no text_config")
	}
	var err error
	if c.Text, err = gpt2.ParseConfig(file.Text); err != nil {
		return Config{}, errors.WithMessage(err, "flamingo: text_config")
	}
	return c, c.Validate()
}

// Write writes a config.json, whole or not at all.
func (c Config) Write(path string) error { return config.Write(path, c) }
