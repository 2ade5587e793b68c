package dalle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string // "" is valid
	}{
		{"small", func(*Config) {}, ""},
		{"text of full length", func(c *Config) { c.Padding, c.TextDropout = NoPadding, 0 }, ""},
		{"no padding to drop", func(c *Config) { c.Padding = NoPadding }, "text_dropout is 0.1 without a pad_token_id"},
		{"padding outside", func(c *Config) { c.Padding = c.TextVocab }, "pad_token_id is 1024"},
		{"heads", func(c *Config) { c.Heads = 5 }, "nhead 5 does not divide d_model 64"},
		{"no layers", func(c *Config) { c.Layers = 0 }, "num_layers is 0, want 1"},
		{"one image token", func(c *Config) { c.ImageTokens = 1 }, "max_image_len is 1, want 2"},
		{"long image", func(c *Config) { c.ImageTokens = 1 << 13 }, "max_image_len is 8192, want 2 to 4096"},
		{"no square", func(c *Config) { c.ImageTokens, c.Positions = 48, Axial }, "max_image_len 48 is no square"},
		{"learned places need none", func(c *Config) { c.ImageTokens = 48 }, ""},
		{"positions", func(c *Config) { c.Positions = "rotary" }, `image_positions is "rotary"`},
		{"weight", func(c *Config) { c.TextLoss = 1 }, "text_loss_weight is 1"},
		{"no text to predict", func(c *Config) { c.TextLoss, c.TextTokens = 0.1, 1 }, "leaves no token"},
		{"dropout", func(c *Config) { c.Dropout = -1 }, "dropout is -1"},
		{"activation", func(c *Config) { c.Activation = "swish!" }, "hidden_act"},
		{"eps", func(c *Config) { c.Eps = 0 }, "layer_norm_eps is 0"},
		{"two faults", func(c *Config) { c.Width, c.Eps = -1, 0 }, "d_model is -1, want 1 to 1048576; layer_norm_eps"},
	} {
		c := Small()
		tt.set(&c)
		err := c.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestConfigRoundTrip(t *testing.T) {
	c := Small()
	c.TextLoss, c.Positions, c.Inner = 0.125, Axial, 100
	path := filepath.Join(t.TempDir(), configFile)
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadConfig(path); err != nil || got != c {
		t.Errorf("read %+v, error %v; want %+v", got, err, c)
	}
	if _, err := ReadConfig(path + "x"); err == nil {
		t.Error("no file: no error")
	}
}

func FuzzParseConfig(f *testing.F) {
	text, err := os.ReadFile(filepath.Join(golden, configFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"model_type":"dalle","pad_token_id":3,"image_positions":"axial"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		if c.Width%c.Heads != 0 || c.sequence() < 2 || c.Padding >= c.TextVocab || c.Positions == Axial && c.Grid() == 0 {
			t.Errorf("accepted %+v", c)
		}
	})
}
