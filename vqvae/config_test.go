package vqvae

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tessera/graph"
)

func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		for _, kind := range Quantizers() {
			c, err := Preset(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetQuantizer(kind, 512); err != nil {
				t.Fatal(err)
			}
			if err := c.Validate(); err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			path := filepath.Join(t.TempDir(), "config.json")
			if err := c.Write(path); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadConfig(path); err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%s, %s: read back as %+v, error %v; want %+v", name, kind, again, err, c)
			}
		}
	}
	if _, err := Preset("small29"); err == nil {
		t.Error("no error for an unknown preset")
	}
	c, _ := Preset("small28")
	if err := c.SetQuantizer("none", 512); err == nil {
		t.Error("no error for an unknown quantizer")
	}
	m, err := New(c, graph.Seed(1))
	if err == nil {
		t.Errorf("a model with the quantizer %q", m.Config.Quantizer)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		want  string
		spoil func(c *Config)
	}{
		{"image_size 30 cannot be halved 2 times", func(c *Config) { c.ImageSize = 30 }},
		{"hidden_dims has 0 entries", func(c *Config) { c.HiddenDims = nil }},
		{"hidden_dims[1] is -3", func(c *Config) { c.HiddenDims = []int{4, -3} }},
		{"pixel_range is [1, 1]", func(c *Config) { c.PixelRange = [2]float64{1, 1} }},
		{"ema_decay is 1", func(c *Config) { c.Decay = 1 }},
		{"temperature is 0", func(c *Config) { c.Quantizer = Gumbel }},
		{"fsq_levels make 15 codes, num_embeddings is 512", func(c *Config) { c.Quantizer, c.Levels = FSQ, []int{5, 3} }},
		{"num_embeddings is 0", func(c *Config) { c.NumEmbeddings = 0 }},
		{"leaky_relu_slope is 2, want 0 to 1; batch_norm_momentum is -1", func(c *Config) { c.Slope, c.Momentum = 2, -1 }},
	} {
		c, err := Preset("small28")
		if err != nil {
			t.Fatal(err)
		}
		tt.spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	const golden = "../testdata/vqvae/tiny"
	m, err := Load(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Params().All() {
		if !reflect.DeepEqual(p.Float32s(), again.Params().Get(p.Name).Float32s()) {
			t.Errorf("%s changed on the way through a file", p.Name)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{`"embedding_dim": 4`, `"embedding_dim": 5`, "vq.embedding.weight"},
		{`"num_embeddings": 16`, `"num_embeddings": 1048576`, "elements, but the configuration"},
		{`"quantizer": "gradient"`, `"quantizer": "ema", "ema_decay": 0.9`, "vq.cluster_size"},
		{`"quantizer": "gradient"`, `"quantizer": "gradient", "residual_blocks": 1`, "encoder.residual.0.0.weight"},
		{`"model_type": "vqvae"`, `"model_type": "vit"`, "model_type"},
		{`{`, `[`, "config.json"},
	} {
		spoilt := strings.Replace(string(text), tt.old, tt.new, 1)
		if spoilt == string(text) {
			t.Fatalf("%s lacks %s", text, tt.old)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(spoilt), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.new, err, tt.want)
		}
	}
}

func TestSSIM(t *testing.T) {
	c, err := Preset("small32")
	if err != nil {
		t.Fatal(err)
	}
	x, y := images(1, 3, 32, 32).Float32s(), images(2, 3, 32, 32).Float32s()
	if got := c.SSIM(x, x); got < 1-1e-9 || got > 1+1e-9 {
		t.Errorf("an image and itself: %v, want 1", got)
	}
	if got := c.SSIM(x, y); got < -0.1 || got > 0.1 {
		t.Errorf("unrelated noise: %v, want nearly 0", got)
	}
	// Flat images a and b differ in the first factor alone.
	flat := func(v float32) []float32 {
		f := make([]float32, len(x))
		for i := range f {
			f[i] = v
		}
		return f
	}
	const want = (2*0.25*0.5 + 1e-4) / (0.25*0.25 + 0.5*0.5 + 1e-4)
	if got := c.SSIM(flat(0.25), flat(0.5)); got < want-1e-6 || got > want+1e-6 {
		t.Errorf("flat images: %v, want %v", got, want)
	}
	if got := c.PSNR(0.01); got < 20-1e-9 || got > 20+1e-9 {
		t.Errorf("PSNR of 0.01 is %v, want 20", got)
	}
}

func FuzzParseConfig(f *testing.F) {
	text, err := os.ReadFile("../testdata/vqvae/tiny/config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"model_type":"vqvae","quantizer":"fsq","fsq_levels":[1024,1024,1024,1024,1024,1024,1024]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		if c.Grid() < 1 || c.Tokens() < 1 || c.NumEmbeddings < 1 {
			t.Errorf("%+v passed", c)
		}
	})
}
