package gpt2

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/graph/safetensors"
)

const golden = "../../testdata/gpt2/tiny"

// stores reads the tensors of a folder.
func stores(t *testing.T, dir string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ts []safetensors.Tensor
	for _, name := range f.Names() {
		data, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := f.Info(name)
		ts = append(ts, safetensors.Tensor{Name: name, Shape: info.Shape, Data: data})
	}
	return ts
}

// rewritten writes the golden model with its tensors rewritten.
func rewritten(t *testing.T, config string, rewrite func([]safetensors.Tensor) []safetensors.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	if config == "" {
		text, err := os.ReadFile(filepath.Join(golden, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		config = string(text)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	ts := stores(t, golden)
	if rewrite != nil {
		ts = rewrite(ts)
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), ts, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// saved returns what Save writes.
func saved(t *testing.T, m *Model) (dir string, weights []byte) {
	t.Helper()
	dir = t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, weights
}

func TestRoundTrip(t *testing.T) {
	m, err := Load(golden, LoadOptions{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	dir, first := saved(t, m)
	want, got := stores(t, golden), stores(t, dir)
	if len(got) != len(want) {
		t.Fatalf("%d tensors saved, %d loaded", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.Name || !equal(g.Data.([]float32), w.Data.([]float32)) || len(g.Shape) != len(w.Shape) || g.Shape[0] != w.Shape[0] {
			t.Errorf("%s %v came back as %s %v with other bytes or shape", w.Name, w.Shape, g.Name, g.Shape)
		}
	}
	again, err := Load(dir, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Config.Context != m.Context || again.Activation != m.Activation || again.Layers != m.Layers {
		t.Errorf("configuration %+v, want %+v", again.Config, m.Config)
	}
	if _, second := saved(t, again); !bytes.Equal(first, second) {
		t.Error("saving twice gives other bytes")
	}
}

func equal(x, y []float32) bool {
	for i := range y {
		if len(x) != len(y) || x[i] != y[i] {
			return false
		}
	}
	return true
}

func TestLoadVariants(t *testing.T) {
	m, err := Load(golden, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, want := saved(t, m)
	add := func(name string, shape ...int) func([]safetensors.Tensor) []safetensors.Tensor {
		return func(ts []safetensors.Tensor) []safetensors.Tensor {
			n := 1
			for _, s := range shape {
				n *= s
			}
			return append(ts, safetensors.Tensor{Name: name, Shape: shape, Data: make([]float32, n)})
		}
	}
	for _, tt := range []struct {
		name    string
		rewrite func([]safetensors.Tensor) []safetensors.Tensor
		warning string
	}{
		{"with a prefix", func(ts []safetensors.Tensor) []safetensors.Tensor {
			for i := range ts {
				ts[i].Name = "transformer." + ts[i].Name
			}
			return ts
		}, ""},
		{"with a stored mask", add("h.0.attn.bias", 1, 1, 14, 14), ""},
		{"with a stored mask value", add("h.1.attn.masked_bias"), ""},
		{"with a tied head", func(ts []safetensors.Tensor) []safetensors.Tensor {
			for _, x := range ts {
				if x.Name == "wte.weight" {
					x.Name = "lm_head.weight"
					return append(ts, x)
				}
			}
			t.Fatal("no wte.weight")
			return nil
		}, ""},
		{"with an unknown tensor", add("score.weight", 2, 32), "unused tensors: score.weight"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var warning string
			m, err := Load(rewritten(t, "", tt.rewrite), LoadOptions{Warn: func(s string) { warning += s }})
			if err != nil {
				t.Fatal(err)
			}
			if _, got := saved(t, m); !bytes.Equal(got, want) {
				t.Error("other weights")
			}
			if !strings.HasSuffix(warning, tt.warning) || tt.warning == "" && warning != "" {
				t.Errorf("warning %q, want %q", warning, tt.warning)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	without := func(names ...string) func([]safetensors.Tensor) []safetensors.Tensor {
		return func(ts []safetensors.Tensor) (left []safetensors.Tensor) {
			for _, x := range ts {
				if !strings.Contains(strings.Join(names, " "), x.Name) {
					left = append(left, x)
				}
			}
			return left
		}
	}
	for _, tt := range []struct {
		name, config string
		rewrite      func([]safetensors.Tensor) []safetensors.Tensor
		want         []string
	}{
		{"missing tensors", "", without("h.1.mlp.c_proj.weight", "h.0.attn.c_attn.bias"),
			[]string{`no tensor "h.1.mlp.c_proj.weight", want one of shape (128, 32)`, `no tensor "h.0.attn.c_attn.bias", want one of shape (96)`}},
		{"no embedding", "", without("wte.weight"), []string{`no tensor "wte.weight", want one of shape (50, 32)`}},
		{"no embedding but a head", "", func(ts []safetensors.Tensor) []safetensors.Tensor {
			for i := range ts {
				if ts[i].Name == "wte.weight" {
					ts[i].Name = "lm_head.weight"
				}
			}
			return ts
		}, []string{`"lm_head.weight" without "wte.weight" of its shape`}},
		{"linear layout", "", func(ts []safetensors.Tensor) []safetensors.Tensor {
			for i := range ts {
				if ts[i].Name == "h.1.mlp.c_fc.weight" {
					ts[i].Shape = []int{128, 32}
				}
			}
			return ts
		}, []string{`"h.1.mlp.c_fc.weight" has shape (128, 32), want (32, 128)`}},
		{"another head", "", func(ts []safetensors.Tensor) []safetensors.Tensor {
			return append(ts, safetensors.Tensor{Name: "lm_head.weight", Shape: []int{50, 32}, Data: make([]float32, 1600)})
		}, []string{`"lm_head.weight" differs from "wte.weight", want a tied head`}},
		{"twice", "", func(ts []safetensors.Tensor) []safetensors.Tensor {
			return append(ts, safetensors.Tensor{Name: "transformer.ln_f.bias", Shape: []int{32}, Data: make([]float32, 32)})
		}, []string{`"ln_f.bias" is stored with and without the prefix`}},
		{"sizes that would take all memory", `{"model_type": "gpt2", "n_embd": 262144, "vocab_size": 1048576, "n_head": 1}`, nil,
			[]string{`"wte.weight" has shape (50, 32), want (1048576, 262144)`}},
		{"more layers than tensors", `{"model_type": "gpt2", "n_embd": 32, "vocab_size": 50, "n_positions": 14, "n_head": 4, "n_layer": 1000000}`, nil,
			[]string{"only 28 tensors, want a model of 1000000 layers"}},
		{"another model", `{"model_type": "vit"}`, nil, []string{"config.json", `model_type is "vit", want "gpt2"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(rewritten(t, tt.config, tt.rewrite), LoadOptions{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want one with %q", err, want)
				}
			}
		})
	}
	if _, err := Load(t.TempDir(), LoadOptions{}); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("empty folder: %v", err)
	}
}
