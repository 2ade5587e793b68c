package flamingo

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/graph/safetensors"
)

// saved writes a model and its language model to a folder.
func saved(t *testing.T, m *Model) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	lm, err := gpt2.New(m.Text, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	for p := range lm.Params().All() {
		copy(p.Float32s(), m.Params().Get(language+"."+p.Name).Float32s())
	}
	if err := lm.Save(filepath.Join(dir, LanguageName)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSaveAndLoad(t *testing.T) {
	c := small()
	c.Every, c.Resampler.MaxImages, c.Resampler.MaxFrames = 2, 3, 2
	m := random(t, c)
	dir := saved(t, m)
	for _, where := range []string{"", filepath.Join(dir, LanguageName)} {
		got, err := Load(dir, LoadOptions{Language: where, Warn: func(s string) { t.Error(s) }})
		if err != nil {
			t.Fatal(err)
		}
		if got.Config.Added != 3 || got.Config.Media != c.Media || got.Config.Resampler != c.Resampler || got.Every != 2 {
			t.Errorf("configuration %+v", got.Config)
		}
		for p := range m.Params().All() {
			if q := got.Params().Get(p.Name); q == nil || !slices.Equal(p.Float32s(), q.Float32s()) || p.Frozen != q.Frozen {
				t.Errorf("%s is not as it was saved", p.Name)
			}
		}
		again := t.TempDir()
		if err := got.Save(again); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{configFile, tensorFile} {
			if !bytes.Equal(bytesOf(t, filepath.Join(dir, f)), bytesOf(t, filepath.Join(again, f))) {
				t.Errorf("%s changes by being loaded and saved", f)
			}
		}
	}
	f, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		if !strings.HasPrefix(name, "perceiver.") && !strings.HasPrefix(name, "lang_encoder.gated_cross_attn_layers.1.") && name != addedName {
			t.Errorf("%s is saved, want only what is trained", name)
		}
	}
}

func bytesOf(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Files of open_flamingo keep cross-attention with the blocks, and one table of
// all tokens.
func TestLoadOpenFlamingoNames(t *testing.T) {
	m := random(t, small())
	dir := saved(t, m)
	var tensors []safetensors.Tensor
	for p := range m.Params().Trained() {
		name, data, shape := p.Name, p.Float32s(), []int(p.Shape())
		if rest, ok := strings.CutPrefix(name, "lang_encoder.gated_cross_attn_layers."); ok {
			i, rest, _ := strings.Cut(rest, ".")
			name = "lang_encoder.transformer.h." + i + ".gated_cross_attn_layer." + rest
		}
		if name == addedName {
			name = "lang_encoder.transformer.wte.weight"
			data = slices.Concat(m.Language.Tokens.Weight.Float32s(), data)
			shape = []int{m.Vocabulary(), m.Text.Width}
		}
		tensors = append(tensors, safetensors.Tensor{Name: name, Shape: shape, Data: data})
	}
	if err := safetensors.Write(filepath.Join(dir, tensorFile), tensors, nil); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := interleaved(rand.New(rand.NewPCG(1, 1)), m.Config, 6, 1)
	if !slices.Equal(logits(t, got, s), logits(t, m, s)) {
		t.Error("scores differ")
	}
}

func TestLoadErrors(t *testing.T) {
	m := random(t, small())
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   string
	}{
		{"no configuration", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, configFile)) }, "config.json"},
		{"no tensors", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, tensorFile)) }, "model.safetensors"},
		{"no language model", func(t *testing.T, dir string) { os.RemoveAll(filepath.Join(dir, LanguageName)) }, "has no language model of its own"},
		{"other sizes", func(t *testing.T, dir string) { edit(t, dir, `"num_latents": 3`, `"num_latents": 60000`) }, "perceiver.latents\" has shape (3, 6), want (60000, 6)"},
		{"many layers", func(t *testing.T, dir string) { edit(t, dir, `"depth": 2`, `"depth": 60000`) }, "want a resampler of depth 60000"},
		{"another language model", func(t *testing.T, dir string) { edit(t, dir, `"n_positions": 20`, `"n_positions": 21`) }, "is not the one of text_config"},
		{"a missing tensor", func(t *testing.T, dir string) { edit(t, dir, `"depth": 2`, `"depth": 3`) }, "no tensor \"perceiver.layers.2.0.norm_media.weight\""},
	} {
		dir := saved(t, m)
		tt.change(t, dir)
		if _, err := Load(dir, LoadOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

// edit replaces text in the configuration.
func edit(t *testing.T, dir, from, to string) {
	t.Helper()
	path := filepath.Join(dir, configFile)
	text := string(bytesOf(t, path))
	if !strings.Contains(text, from) {
		t.Fatalf("the configuration has no %q:\n%s", from, text)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, from, to, 1)), 0o666); err != nil {
		t.Fatal(err)
	}
}
