package flamingo

import (
	"strings"
	"testing"

	"tessera/flamingo/gpt2"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *Config)
		want   string // "" is no error
	}{
		{"small", func(c *Config) {}, ""},
		{"published sizes", func(c *Config) { *c = For(gpt2.Small(), 1024) }, ""},
		{"another model", func(c *Config) { c.ModelType = "gpt2" }, "model_type is \"gpt2\""},
		{"a bad language model", func(c *Config) { c.Text.Heads = 5 }, "text_config: gpt2: n_head 5 does not divide"},
		{"no latents", func(c *Config) { c.Resampler.Latents = 0 }, "resampler.num_latents is 0, want 1"},
		{"rare cross-attention", func(c *Config) { c.Every = 4 }, "cross_attn_every_n_layers is 4, but the language model has 3 layers"},
		{"no media token", func(c *Config) { c.Media = NoToken }, "media_token_id is -1"},
		{"padding with images", func(c *Config) { c.Padding = c.Media }, "that of another special token"},
		{"padding beyond", func(c *Config) { c.Padding = 26 }, "pad_token_id is 26 in a vocabulary of 26"},
	} {
		c := small()
		tt.change(&c)
		err := c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestReadConfig(t *testing.T) {
	c, err := ReadConfig("../testdata/flamingo/tiny/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if c.Vocabulary() != 50 || c.Media != 49 || c.Padding != NoToken || c.Resampler.Latents != 4 || c.Text.LayerNormEps != 1e-5 || !c.Immediate {
		t.Errorf("%+v", c)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"model_type":"flamingo","vision_dim":4,"media_token_id":1,"text_config":{"model_type":"gpt2"}}`))
	f.Add([]byte(`{"model_type":"flamingo","text_config":null,"cross_attn_every_n_layers":0}`))
	f.Add([]byte(`{"text_config":{"n_layer":-1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err == nil && c.Validate() != nil {
			t.Error("an invalid configuration was read")
		}
	})
}
