package vit

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/graph"
	"tessera/graph/npz"
	"tessera/graph/safetensors"
)

// rewrite changes the names of a safetensors file; "" drops a tensor.
func rewrite(t *testing.T, path string, name func(string) string) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []safetensors.Tensor
	for _, old := range f.Names() {
		if name(old) == "" {
			continue
		}
		info, _ := f.Info(old)
		data, err := f.Float32(old)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, safetensors.Tensor{Name: name(old), Shape: info.Shape, Data: data})
	}
	if err := safetensors.Write(path, all, nil); err != nil {
		t.Fatal(err)
	}
}

func sameWeights(t *testing.T, got, want *Model, except ...string) {
	t.Helper()
	for p := range want.Params().All() {
		q := got.Params().Get(p.Name)
		if q == nil {
			t.Errorf("no parameter %s", p.Name)
		} else if !slices.Contains(except, p.Name) && !slices.Equal(q.Float32s(), p.Float32s()) {
			t.Errorf("%s differs", p.Name)
		}
	}
}

func TestTimmStacksQueryKeyValue(t *testing.T) {
	dir, m := saved(t, nil)
	out := t.TempDir()
	if err := Convert(dir, out, LayoutTimm); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	D := m.HiddenSize
	for _, kind := range []string{"weight", "bias"} {
		got, err := f.Float32("blocks.0.attn.qkv." + kind)
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		for _, part := range []string{"query", "key", "value"} {
			want = append(want, m.Params().Get("vit.encoder.layer.0.attention.attention."+part+"."+kind).Float32s()...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is not query, key and value in turn", kind)
		}
	}
	if info, _ := f.Info("blocks.0.attn.qkv.weight"); !slices.Equal(info.Shape, []int{3 * D, D}) {
		t.Errorf("shape %v, want (%d, %d)", info.Shape, 3*D, D)
	}
	if n := len(f.Names()); n != 8+12*m.Layers {
		t.Errorf("%d tensors, want %d", n, 8+12*m.Layers)
	}
}

// TestJAXAxes compares each kind of kernel index by index with the definition
// in Flax: inputs come before outputs, and heads have an axis of their own.
func TestJAXAxes(t *testing.T) {
	dir, m := saved(t, nil)
	out := t.TempDir()
	if err := Convert(dir, out, LayoutJAX); err != nil {
		t.Fatal(err)
	}
	f, err := npz.Open(filepath.Join(out, jaxFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	D, H, I, C, P := m.HiddenSize, m.Heads, m.Intermediate, m.Channels, m.PatchSize
	K := D / H
	block, layer := "Transformer/encoderblock_0/", "vit.encoder.layer.0."
	for _, tt := range []struct {
		name  string
		shape []int
		hf    string
		at    func(i []int) int // index in the Hugging Face tensor
	}{
		{"embedding/kernel", []int{P, P, C, D}, patchKernel, func(i []int) int { return ((i[3]*C+i[2])*P+i[0])*P + i[1] }},
		{block + "MultiHeadDotProductAttention_1/key/kernel", []int{D, H, K}, layer + "attention.attention.key.weight", func(i []int) int { return (i[1]*K+i[2])*D + i[0] }},
		{block + "MultiHeadDotProductAttention_1/key/bias", []int{H, K}, layer + "attention.attention.key.bias", func(i []int) int { return i[0]*K + i[1] }},
		{block + "MultiHeadDotProductAttention_1/out/kernel", []int{H, K, D}, layer + "attention.output.dense.weight", func(i []int) int { return i[2]*D + i[0]*K + i[1] }},
		{block + "MlpBlock_3/Dense_0/kernel", []int{D, I}, layer + "intermediate.dense.weight", func(i []int) int { return i[1]*D + i[0] }},
		{block + "MlpBlock_3/Dense_1/kernel", []int{I, D}, layer + "output.dense.weight", func(i []int) int { return i[1]*I + i[0] }},
		{"head/kernel", []int{D, m.Classes()}, headKernel, func(i []int) int { return i[1]*D + i[0] }},
		{block + "LayerNorm_2/scale", []int{D}, layer + "layernorm_after.weight", func(i []int) int { return i[0] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := f.Shape(tt.name); !slices.Equal(got, tt.shape) {
				t.Fatalf("shape %v, want %v", got, tt.shape)
			}
			got, err := f.Float32(tt.name)
			if err != nil {
				t.Fatal(err)
			}
			want := m.Params().Get(tt.hf).Float32s()
			index := make([]int, len(tt.shape))
			for n, v := range got {
				rest := n
				for a := len(index) - 1; a >= 0; a-- {
					index[a], rest = rest%tt.shape[a], rest/tt.shape[a]
				}
				if v != want[tt.at(index)] {
					t.Fatalf("at %v: %g, want %g", index, v, want[tt.at(index)])
				}
			}
		})
	}
}

func TestLoadJAXWithoutConfiguration(t *testing.T) {
	dir, want := saved(t, nil)
	out := t.TempDir()
	if err := Convert(dir, out, LayoutJAX); err != nil {
		t.Fatal(err)
	}
	f, err := npz.Open(filepath.Join(out, jaxFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// As big_vision writes it: nested, and modules counted by kind.
	later := strings.NewReplacer("MlpBlock_3", "MlpBlock_0", "LayerNorm_2", "LayerNorm_1", "Attention_1", "Attention_0")
	var arrays []npz.Array
	for _, name := range f.Names() {
		shape, _ := f.Shape(name)
		data, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		arrays = append(arrays, npz.Array{Name: "params/" + later.Replace(name), Shape: shape, Data: data})
	}
	path := filepath.Join(t.TempDir(), "later.npz")
	if err := npz.Write(path, arrays); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, LoadOptions{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, got, want)
	if got.Heads != want.Heads || got.ImageSize != want.ImageSize || got.Label(1) != "LABEL_1" {
		t.Errorf("inferred %d heads, %d pixels, label %q", got.Heads, got.ImageSize, got.Label(1))
	}
}

func TestLoadTimm(t *testing.T) {
	dir, want := saved(t, nil)
	out := t.TempDir()
	if err := Convert(dir, out, LayoutTimm); err != nil {
		t.Fatal(err)
	}
	got, err := Load(out, LoadOptions{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, got, want)
	if got.Heads != want.Heads || got.LayerNormEps != 1e-6 || !maps.Equal(got.Labels, want.Labels) {
		t.Errorf("heads %d, eps %g, labels %v", got.Heads, got.LayerNormEps, got.Labels)
	}

	config, model := filepath.Join(out, "config.json"), filepath.Join(out, torchFile)
	fails := func(want string) {
		t.Helper()
		if _, err := Load(out, LoadOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if err := os.WriteFile(config, []byte(`{"architecture": "vit_base_patch16_224", "global_pool": "avg"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	fails("global_pool")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	fails("num_heads")
	rewrite(t, model, func(n string) string { return strings.Replace(n, "norm.weight", "fc_norm.weight", 1) })
	fails("not supported")
}

func TestLoadWithoutTheHead(t *testing.T) {
	dir, want := saved(t, nil)
	rewrite(t, filepath.Join(dir, torchFile), func(n string) string {
		switch n {
		case headKernel:
			return "vit.pooler.dense.weight" // no part of classification
		case headBias:
			return "vit.extra"
		}
		return n
	})
	// The names of a ViTModel lack the prefix.
	rewrite(t, filepath.Join(dir, torchFile), func(n string) string { return strings.TrimPrefix(n, "vit.") })
	var warned []string
	got, err := Load(dir, LoadOptions{Warn: func(s string) { warned = append(warned, s) }})
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, got, want, headKernel)
	if len(warned) != 2 || !strings.Contains(warned[0], "no classification head") || !strings.HasSuffix(warned[1], "unused tensors: vit.extra") {
		t.Errorf("warned %q", warned)
	}
}

func TestMissingTensorsAreAllListed(t *testing.T) {
	for _, layout := range []string{LayoutHF, LayoutTimm} {
		dir, _ := saved(t, nil)
		out := t.TempDir()
		if err := Convert(dir, out, layout); err != nil {
			t.Fatal(err)
		}
		gone := map[string][]string{
			LayoutHF:   {"vit.layernorm.weight", "vit.encoder.layer.0.output.dense.bias"},
			LayoutTimm: {"norm.weight", "blocks.0.mlp.fc2.bias"},
		}[layout]
		rewrite(t, filepath.Join(out, torchFile), func(n string) string {
			if slices.Contains(gone, n) {
				return ""
			}
			return n
		})
		_, err := Load(out, LoadOptions{})
		if err == nil {
			t.Fatalf("%s: no error", layout)
		}
		for _, name := range gone {
			if !strings.Contains(err.Error(), `"`+name+`"`) {
				t.Errorf("%s: error %v does not name %s", layout, err, name)
			}
		}
	}
}

func TestConvertErrors(t *testing.T) {
	dir, _ := saved(t, nil)
	mean, _ := saved(t, func(c *Config) { c.Pooling = "mean" })
	relu, _ := saved(t, func(c *Config) { c.HiddenAct = "relu" })
	for _, tt := range []struct{ src, dst, layout, want string }{
		{dir, t.TempDir(), "keras", `layout "keras", want hf, timm or jax`},
		{mean, t.TempDir(), LayoutTimm, "pool"},
		{relu, t.TempDir(), LayoutTimm, "hidden_act"},
		{dir, dir, LayoutJAX, "in the way"},
		{filepath.Join(dir, "nowhere"), t.TempDir(), LayoutHF, "no such file"},
	} {
		if err := Convert(tt.src, tt.dst, tt.layout); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("to %s: error %v, want one with %q", tt.layout, err, tt.want)
		}
	}
}

// FuzzConfiguration loads a model beside any config.json.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(`{"architecture": "vit_base_patch16_224", "model_args": {"num_heads": 2}}`))
	f.Add([]byte(`{"model_type": "vit", "num_hidden_layers": 1000000, "hidden_size": 4, "num_attention_heads": 2}`))
	f.Add([]byte(`{"model_type": "vit", "num_attention_heads": 0}`))
	f.Add([]byte(`{"architecture": "x", "label_names": ["a", "a", "a"], "num_classes": -1}`))
	c := tiny()
	files := map[string][]byte{}
	for _, layout := range []string{LayoutTimm, LayoutHF} {
		src, dst := f.TempDir(), f.TempDir()
		m, err := New(c, graph.Seed(1))
		if err != nil {
			f.Fatal(err)
		}
		if err := m.Save(src); err != nil {
			f.Fatal(err)
		}
		if err := Convert(src, dst, layout); err != nil {
			f.Fatal(err)
		}
		if files[layout], err = os.ReadFile(filepath.Join(dst, torchFile)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		for layout, model := range files {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, torchFile), model, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o666); err != nil {
				t.Fatal(err)
			}
			m, err := Load(dir, LoadOptions{})
			if err == nil && m.Params().Get(classToken) == nil {
				t.Errorf("%s: a model without parameters", layout)
			}
		}
	})
}
