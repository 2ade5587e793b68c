package clip

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tessera/graph/safetensors"
)

const torchFixtures = "../testdata/torch"

// saved writes a model and files that go with it, and returns their folder.
func saved(t testing.TB, c Config) (string, *Model) {
	t.Helper()
	m := newModel(t, c)
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"preprocessor_config.json", "vocab.json", "merges.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of "+name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir, m
}

func sameWeights(t *testing.T, got, want *Model) {
	t.Helper()
	if got.Params().Len() != want.Params().Len() {
		t.Errorf("%d parameters, want %d", got.Params().Len(), want.Params().Len())
	}
	for p := range want.Params().All() {
		if q := got.Params().Get(p.Name); q == nil || !slices.Equal(q.Float32s(), p.Float32s()) {
			t.Errorf("%s differs", p.Name)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	bias := -10.0
	biased := tiny()
	biased.LogitBias = &bias
	for _, c := range []Config{tiny(), biased} {
		dir, want := saved(t, c)
		got, err := Load(dir, LoadOptions{Warn: func(s string) { t.Error(s) }})
		if err != nil {
			t.Fatal(err)
		}
		sameWeights(t, got, want)
		if !reflect.DeepEqual(got.Config, want.Config) {
			t.Errorf("configuration %+v, want %+v", got.Config, want.Config)
		}
	}
}

// TestConvertRoundTrips converts there and back, and compares every file.
func TestConvertRoundTrips(t *testing.T) {
	gelu := tiny()
	gelu.Vision.HiddenAct, gelu.Text.HiddenAct, gelu.Text.EOS = "gelu", "gelu", legacyEOS
	for _, c := range []Config{tiny(), gelu} {
		dir, _ := saved(t, c)
		there, back := t.TempDir(), t.TempDir()
		if err := Convert(dir, there, LayoutOpenAI, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := Convert(there, back, LayoutHF, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			want, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(back, f.Name())); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s changed on the way there and back (%v)", f.Name(), err)
			}
		}
		if len(files) != 5 {
			t.Errorf("%d files, want weights, configuration and three more", len(files))
		}
	}
}

// TestOpenCLIPConfiguration reads OpenAI's layout by open_clip's configuration
// alone: three heads of two values are in it, not in the shapes.
func TestOpenCLIPConfiguration(t *testing.T) {
	for _, act := range []string{"gelu", "quick_gelu"} {
		c := tiny()
		c.Vision.HiddenAct, c.Text.HiddenAct = act, act
		dir, want := saved(t, c)
		there := t.TempDir()
		if err := Convert(dir, there, LayoutOpenAI, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(there, configFile)); err != nil {
			t.Fatal(err)
		}
		got, err := Load(there, LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sameWeights(t, got, want)
		c.LogitScale = got.Config.LogitScale // an initial value, which open_clip does not store
		if !reflect.DeepEqual(got.Config, c) {
			t.Errorf("configuration %+v, want %+v", got.Config, c)
		}
	}
}

// number is element i of a tensor in the files of testdata/torch/generate.py.
func number(name string, i int) float32 {
	h := int64(crc32.ChecksumIEEE([]byte(name)))
	return float32((h+37*int64(i))%257-128) / 256
}

// TestTorchFiles reads a tiny model as OpenAI publishes it and as a trainer
// saves it, and writes it under the same names again.
func TestTorchFiles(t *testing.T) {
	for _, tt := range []struct {
		file string
		o    LoadOptions
	}{
		{"script.pt", LoadOptions{}},
		{"trainer.pt", LoadOptions{HiddenAct: "quick_gelu"}},
	} {
		out := t.TempDir()
		if err := Convert(filepath.Join(torchFixtures, tt.file), out, LayoutOpenAI, tt.o); err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(filepath.Join(out, openCLIPFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range f.Names() {
			got, err := f.Float32(name)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if v != number(name, i) {
					t.Fatalf("%s: %s[%d] is %g, want %g", tt.file, name, i, v, number(name, i))
				}
			}
		}
		if n := len(f.Names()); n != 50 {
			t.Errorf("%s: %d tensors, want 50", tt.file, n)
		}
		f.Close()
	}
}

// TestOpenAINames holds the map of names against its definition: queries, keys
// and values are stacked, projections transposed.
func TestOpenAINames(t *testing.T) {
	m, err := Load(filepath.Join(torchFixtures, "script.pt"), LoadOptions{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.Vision.ImageSize != 4 || m.Config.Vision.Layers != 1 || m.Config.Text.Layers != 2 || m.Config.Text.EOS != 8 ||
		m.Config.Vision.HiddenAct != "quick_gelu" {
		t.Errorf("inferred %+v", m.Config)
	}
	for _, tt := range []struct {
		hf, name string
		at       func(i int) int // index in the tensor of that name
	}{
		{"text_model.encoder.layers.1.self_attn.k_proj.weight", "transformer.resblocks.1.attn.in_proj_weight", func(i int) int { return 36 + i }},
		{"vision_model.encoder.layers.0.self_attn.v_proj.bias", "visual.transformer.resblocks.0.attn.in_proj_bias", func(i int) int { return 8 + i }},
		{"visual_projection.weight", "visual.proj", func(i int) int { return i%4*3 + i/4 }},
		{"text_projection.weight", "text_projection", func(i int) int { return i%6*3 + i/6 }},
		{"vision_model.encoder.layers.0.mlp.fc2.weight", "visual.transformer.resblocks.0.mlp.c_proj.weight", func(i int) int { return i }},
		{"vision_model.pre_layrnorm.weight", "visual.ln_pre.weight", func(i int) int { return i }},
		{"vision_model.post_layernorm.bias", "visual.ln_post.bias", func(i int) int { return i }},
		{"text_model.encoder.layers.0.layer_norm2.bias", "transformer.resblocks.0.ln_2.bias", func(i int) int { return i }},
		{"text_model.embeddings.position_embedding.weight", "positional_embedding", func(i int) int { return i }},
		{"logit_scale", "logit_scale", func(i int) int { return i }},
	} {
		for i, v := range m.Params().Get(tt.hf).Float32s() {
			if v != number(tt.name, tt.at(i)) {
				t.Errorf("%s[%d] is %g, want %s[%d]", tt.hf, i, v, tt.name, tt.at(i))
				break
			}
		}
	}
}

// rewrite renames the tensors of a file; "" drops one.
func rewrite(t testing.TB, path string, name func(string) string) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors []safetensors.Tensor
	for _, n := range f.Names() {
		if name(n) == "" {
			continue
		}
		info, _ := f.Info(n)
		data, err := f.Float32(n)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, safetensors.Tensor{Name: name(n), Shape: info.Shape, Data: data})
	}
	if err := safetensors.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
}

// TestCustomText reads the names of open_clip's CustomTextCLIP with a bias.
func TestCustomText(t *testing.T) {
	bias := -10.0
	c := tiny()
	c.LogitBias = &bias
	dir, want := saved(t, c)
	out := t.TempDir()
	if err := Convert(dir, out, LayoutOpenAI, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(out, openCLIPFile), func(n string) string {
		if strings.HasPrefix(n, "visual.") || strings.HasPrefix(n, "logit_") {
			return n
		}
		return "text." + n
	})
	got, err := Load(out, LoadOptions{Warn: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, got, want)
}

func TestLegacyBuffersAreIgnored(t *testing.T) {
	dir, want := saved(t, tiny())
	path := filepath.Join(dir, weightsFile)
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tensors := []safetensors.Tensor{
		{Name: "text_model.embeddings.position_ids", Shape: []int{1, 2}, Data: []int64{0, 1}},
		{Name: "stray", Shape: []int{1}, Data: []float32{1}},
	}
	for _, n := range f.Names() {
		info, _ := f.Info(n)
		data, _ := f.Float32(n)
		tensors = append(tensors, safetensors.Tensor{Name: n, Shape: info.Shape, Data: data})
	}
	f.Close()
	if err := safetensors.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	var warned []string
	got, err := Load(dir, LoadOptions{Warn: func(s string) { warned = append(warned, s) }})
	if err != nil {
		t.Fatal(err)
	}
	sameWeights(t, got, want)
	if len(warned) != 1 || !strings.HasSuffix(warned[0], "unused tensors: stray") {
		t.Errorf("warned %q, want of the stray tensor alone", warned)
	}
}

func TestLoadErrors(t *testing.T) {
	folder := func(edit func(dir string)) string {
		dir, _ := saved(t, tiny())
		edit(dir)
		return dir
	}
	write := func(dir, name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	openAI := func(edit func(dir string)) string {
		dir, _ := saved(t, tiny())
		out := t.TempDir()
		if err := Convert(dir, out, LayoutOpenAI, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(out, configFile)); err != nil {
			t.Fatal(err)
		}
		edit(out)
		return out
	}
	edited := func(tower, key string, value any) string {
		return openAI(func(dir string) {
			text, err := os.ReadFile(filepath.Join(dir, openCLIPConfig))
			if err != nil {
				t.Fatal(err)
			}
			var c map[string]map[string]any
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			c["model_cfg"][tower].(map[string]any)[key] = value
			if text, err = json.Marshal(c); err != nil {
				t.Fatal(err)
			}
			write(dir, openCLIPConfig, string(text))
		})
	}
	rename := func(from, to string) func(dir string) {
		return func(dir string) {
			for _, file := range []string{weightsFile, openCLIPFile} {
				if path := filepath.Join(dir, file); exists(path) {
					rewrite(t, path, func(n string) string { return strings.Replace(n, from, to, 1) })
				}
			}
		}
	}
	for _, tt := range []struct{ name, path, want string }{
		{"nowhere", filepath.Join(t.TempDir(), "x"), "no such file"},
		{"empty folder", t.TempDir(), "holds none of model.safetensors"},
		{"no configuration", folder(func(dir string) { os.Remove(filepath.Join(dir, configFile)) }), `model_type is "", want "clip"`},
		{"another model", folder(func(dir string) { write(dir, configFile, `{"model_type": "vit"}`) }), `model_type is "vit"`},
		{"broken configuration", folder(func(dir string) { write(dir, configFile, `{`) }), configFile},
		{"other tensors", folder(rename("vision_model.embeddings.class_", "x")), "not a CLIP model"},
		{"two missing", folder(rename("layer_norm1.bias", "x")), `no tensor "text_model.encoder.layers.1.layer_norm1.bias"`},
		{"another shape", folder(func(dir string) {
			c := tiny()
			c.Text.Intermediate = 7
			c.Write(filepath.Join(dir, configFile))
		}), "has shape (5, 6), want (7, 6)"},
		{"vast sizes", folder(func(dir string) {
			c := tiny()
			c.Text.Vocabulary, c.Text.HiddenSize = 1<<20, 3<<18
			c.Write(filepath.Join(dir, configFile))
		}), "has shape (9, 6), want (1048576, 786432)"},
		{"many layers", folder(func(dir string) {
			c := tiny()
			c.Text.Layers = 1 << 20
			c.Write(filepath.Join(dir, configFile))
		}), "tensors, want towers of 1048576 and 1 layers"},
		{"no activation", openAI(func(dir string) { os.Remove(filepath.Join(dir, openCLIPConfig)) }), "say whether it is quick_gelu"},
		{"no activation in a .pt file", filepath.Join(torchFixtures, "trainer.pt"), "say whether it is quick_gelu"},
		{"a ResNet", openAI(rename("visual.ln_pre.", "visual.attnpool.")), "not CLIP's vision transformer"},
		{"a tower of timm", openAI(rename("visual.", "visual.trunk.")), "not CLIP's vision transformer"},
		{"no rows", openAI(rename("visual.positional_embedding", "x")), `no tensor "visual.positional_embedding" of 2 axes`},
		{"last-token pooling", edited("text_cfg", "pool_type", "last"), "text_cfg.pool_type is last; only argmax"},
		{"all tokens see all", edited("text_cfg", "no_causal_mask", true), "text_cfg.no_causal_mask is true"},
		{"another text model", edited("text_cfg", "hf_model_name", "roberta"), "hf_model_name is roberta"},
		{"heads that do not divide", edited("vision_cfg", "head_width", 3), "head_width 3 does not divide"},
		{"heads that do not divide the text", edited("text_cfg", "heads", 4), "num_attention_heads 4 does not divide"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Load(tt.path, LoadOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestConvertErrors(t *testing.T) {
	mixed, eps, relu := tiny(), tiny(), tiny()
	mixed.Text.HiddenAct = "gelu"
	eps.Vision.LayerNormEps = 1e-6
	relu.Vision.HiddenAct, relu.Text.HiddenAct = "relu", "relu"
	dir, _ := saved(t, tiny())
	for _, tt := range []struct {
		c           Config
		dst, layout string
		want        string
	}{
		{tiny(), t.TempDir(), "timm", `layout "timm", want hf or openai`},
		{mixed, t.TempDir(), LayoutOpenAI, "has one for both"},
		{eps, t.TempDir(), LayoutOpenAI, "layer_norm_eps is 1e-06"},
		{relu, t.TempDir(), LayoutOpenAI, `hidden_act is "relu"`},
		{tiny(), dir, LayoutOpenAI, "model.safetensors is in the way"},
	} {
		src, _ := saved(t, tt.c)
		if err := Convert(src, tt.dst, tt.layout, LoadOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("to %s: error %v, want one with %q", tt.layout, err, tt.want)
		}
	}
}

// FuzzConfiguration loads a model beside any configuration.
func FuzzConfiguration(f *testing.F) {
	src, _ := saved(f, tiny())
	out := f.TempDir()
	if err := Convert(src, out, LayoutOpenAI, LoadOptions{}); err != nil {
		f.Fatal(err)
	}
	files := map[string][]byte{}
	for name, dir := range map[string]string{weightsFile: src, openCLIPFile: out} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		files[name] = text
	}
	for _, path := range []string{filepath.Join(out, configFile), filepath.Join(out, openCLIPConfig)} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"model_type": "clip", "text_config_dict": {"num_hidden_layers": 100000}}`))
	f.Add([]byte(`{"model_cfg": {"vision_cfg": {"head_width": 1}, "text_cfg": {"heads": 1000000000}}}`))
	f.Fuzz(func(t *testing.T, config []byte) {
		for name, weights := range files {
			dir := t.TempDir()
			for file, text := range map[string][]byte{name: weights, configFile: config, openCLIPConfig: config} {
				if err := os.WriteFile(filepath.Join(dir, file), text, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			m, err := Load(dir, LoadOptions{})
			if err == nil && m.Params().Get(hfMark) == nil {
				t.Error("a model without parameters")
			}
		}
	})
}
