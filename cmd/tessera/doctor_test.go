package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/graph/safetensors"
)

// checked copies a model of testdata, spoils the copy and examines it.
func checked(t *testing.T, kind string, spoil func(t *testing.T, dir string)) (code int, found []finding) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../testdata", kind, "tiny"))); err != nil {
		t.Fatal(err)
	}
	if spoil != nil {
		spoil(t, dir)
	}
	code, out, errs := tessera(t, "doctor", dir, "--json")
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	if (code == exitFailed) != strings.Contains(errs, "wrong: ") {
		t.Errorf("exit code %d with %q", code, errs)
	}
	return code, found
}

// states counts findings.
func states(found []finding) map[state]int {
	n := map[state]int{}
	for _, f := range found {
		n[f.State]++
	}
	return n
}

func TestDoctorHealthy(t *testing.T) {
	for kind, sound := range map[string]int{"vit": 7, "clip": 13, "vqvae": 4, "dalle": 9, "flamingo": 6, "gpt2": 5} {
		t.Run(kind, func(t *testing.T) {
			code, found := checked(t, kind, nil)
			n := states(found)
			if code != exitOK || n[healthy] != sound || n[wrong] > 0 || n[doubtful] > 0 {
				t.Errorf("exit code %d, %d checks ok, want %d and none wrong: %+v", code, n[healthy], sound, found)
			}
			for _, f := range found {
				if f.State == skipped && f.Check != "tokenizer" && f.Check != "tokenizers" {
					t.Errorf("skipped: %+v", f)
				}
			}
		})
	}
}

// edit replaces text in a file, which must be there.
func edit(name, old, text string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		before := read(t, path)
		if !bytes.Contains(before, []byte(old)) {
			t.Fatalf("%s holds no %s", name, old)
		}
		write(t, path, bytes.ReplaceAll(before, []byte(old), []byte(text)))
	}
}

// retensor rewrites the weights: a name of "" leaves a tensor out.
func retensor(change func(name string, v []float32) string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		f, err := safetensors.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var all []safetensors.Tensor
		for _, name := range f.Names() {
			info, _ := f.Info(name)
			v, err := f.Float32(name)
			if err != nil {
				t.Fatal(err)
			}
			if to := change(name, v); to != "" {
				all = append(all, safetensors.Tensor{Name: to, Shape: info.Shape, Data: v})
			}
		}
		f.Close()
		if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), all, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// without leaves out the tensors whose names have a part.
func without(part string) func(t *testing.T, dir string) {
	return retensor(func(name string, _ []float32) string {
		if strings.Contains(name, part) {
			return ""
		}
		return name
	})
}

// with changes the values of one tensor.
func with(tensor string, set func(v []float32)) func(t *testing.T, dir string) {
	return retensor(func(name string, v []float32) string {
		if name == tensor {
			set(v)
		}
		return name
	})
}

func filled(x float32) func([]float32) {
	return func(v []float32) {
		for i := range v {
			v[i] = x
		}
	}
}

func both(a, b func(t *testing.T, dir string)) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) { a(t, dir); b(t, dir) }
}

func TestDoctorFinds(t *testing.T) {
	const gate = "lang_encoder.gated_cross_attn_layers.1.ff_gate"
	openAI := edit("config.json", `"projection_dim": 32,
 "text_config"`, `"_name_or_path": "openai/clip-vit-base-patch32", "projection_dim": 32,
 "text_config"`)
	imageNet := both(
		edit(preprocessFile, "0.48145466,\n  0.4578275,\n  0.40821073", "0.485, 0.456, 0.406"),
		edit(preprocessFile, "0.26862954,\n  0.26130258,\n  0.27577711", "0.229, 0.224, 0.225"))
	for _, tt := range []struct {
		name, kind string
		spoil      func(t *testing.T, dir string)
		check      string
		state      state
		found      string
	}{
		{"exact GELU in a CLIP of OpenAI", "clip", both(openAI, edit("config.json", quickGELU, exactGELU)),
			"activation", wrong, `hidden_act is "gelu", want "quick_gelu"`},
		{"two activations", "clip", edit("config.json", `"hidden_act": "quick_gelu",
  "hidden_size": 64`, `"hidden_act": "gelu", "hidden_size": 64`), "activation", wrong, `texts "quick_gelu", want the same`},
		{"CLIP without the norm before its blocks", "clip", without("pre_layrnorm"),
			"norm before the blocks", wrong, `no tensor "vision_model.pre_layrnorm.weight", want one of shape (64) (and 1 more)`},
		{"ImageNet's colors in a CLIP", "clip", imageNet, "mean and deviation", wrong, "ImageNet's, [0.485 0.456 0.406]"},
		{"colors of nobody", "clip", edit(preprocessFile, "0.40821073", "0.3"), "mean and deviation", doubtful, "no published model"},
		{"one gate missing", "flamingo", without(gate), "gates", wrong, `no tensor "` + gate + `"`},
		{"one gate closed", "flamingo", with(gate, filled(0)), "gates", doubtful, "1 of 4 are 0: " + gate},
		{"images of all the past", "flamingo", edit("config.json", `"only_attend_immediate_media": true`, `"only_attend_immediate_media": false`),
			"images seen", doubtful, "only_attend_immediate_media is false"},
		{"another end token", "clip", edit("config.json", `"eos_token_id": 2513`, `"eos_token_id": 7`), "end token", wrong, "is 7, want 2513"},
		{"another tokenizer", "clip", edit("vocab.json", `"<|endoftext|>"`, `"<|end|>"`), "tokenizer", wrong, "vocab.json"},
		{"nearest resampling", "clip", edit(preprocessFile, `"resample": 3`, `"resample": 0`), "resizing", doubtful, "resample is 0"},
		{"pixels to 255", "vit", edit(preprocessFile, `"do_rescale": true`, `"do_rescale": false`), "preprocessing", wrong, "do_rescale is false"},
		{"images too large", "vit", edit(preprocessFile, `"height": 32`, `"height": 64`), "preprocessing", wrong, "images of 32×64 pixels"},
		{"another image size", "vit", edit("config.json", `"image_size": 32`, `"image_size": 64`), "position table", wrong, "(1, 17, 48), want (1, 65, 48)"},
		{"another activation", "vit", edit("config.json", `"gelu"`, `"relu"`), "activation", doubtful, `"relu"`},
		{"logit scale too high", "clip", with("logit_scale", filled(4.7)), "logit scale", wrong, "4.7000, want at most ln 100"},
		{"a weight that is not finite", "gpt2", with("h.1.mlp.c_fc.bias", func(v []float32) { v[3] = float32(math.NaN()) }), "weights", wrong, "h.1.mlp.c_fc.bias[3] is NaN"},
		{"a matrix lost", "gpt2", with("h.1.mlp.c_proj.weight", filled(0)), "weights", doubtful, "all zero: h.1.mlp.c_proj.weight"},
		{"a token never learned", "dalle", with("text_embedding.weight", func(v []float32) { clear(v[5*32 : 6*32]) }), "rows of text_embedding.weight", doubtful, "1 of 32 are all zero: 5"},
		{"two codes alike", "vqvae", with("vq.embedding.weight", func(v []float32) { copy(v[:4], v[4:8]) }), "dead codes", doubtful, "1 of 16"},
		{"positions lost", "vit", with("vit.embeddings.position_embeddings", filled(0)), "image", wrong, "positions are not read"},
		{"patches lost", "clip", with("vision_model.embeddings.patch_embedding.weight", filled(0)), "image", wrong, "two random images give the same output"},
		{"a decoder that reads nothing", "vqvae", with("decoder.0.weight", filled(0)), "straight-through gradient", wrong, "the decoder has no gradient"},
		{"attention lost", "dalle", both(with("transformer.0.attn.out_proj.weight", filled(0)), with("transformer.1.attn.out_proj.weight", filled(0))),
			"image rows see the text", wrong, "changes no row"},
		{"biases decayed", "vit", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "trainer.json"), []byte(`{"settings": {"decay-all": "true"}}`))
		}, "decay groups", doubtful, "decayed all parameters"},
		{"no weights", "gpt2", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model.safetensors")) }, "opening", wrong, "model.safetensors"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, found := checked(t, tt.kind, tt.spoil)
			if wants := tt.state == wrong; wants != (code == exitFailed) {
				t.Errorf("exit code %d for a finding that is %s", code, tt.state)
			}
			i := slices.IndexFunc(found, func(f finding) bool { return f.Check == tt.check && f.State == tt.state })
			if i < 0 || !strings.Contains(found[i].Found, tt.found) {
				t.Fatalf("found %+v, want %s to be %s with %q", found, tt.check, tt.state, tt.found)
			}
			if n := states(found); n[wrong]+n[doubtful] > 3 {
				t.Errorf("one defect makes %d checks complain: %+v", n[wrong]+n[doubtful], found)
			}
		})
	}
}

func TestDoctorTable(t *testing.T) {
	out := ok(t, "doctor", "../../testdata/flamingo/tiny")
	for _, want := range []string{"ok       gates at 0", "skipped  tokenizer", "7 checks: 6 ok, 0 wrong, 0 warnings, 1 skipped"} {
		if !strings.Contains(out, want) {
			t.Errorf("table lacks %q:\n%s", want, out)
		}
	}
	dir := t.TempDir()
	for _, tt := range []struct{ config, want string }{
		{"", "config.json"},
		{"{}", "has no model_type"},
		{`{"model_type": "bert"}`, `model_type is "bert", want vit`},
	} {
		if tt.config != "" {
			write(t, filepath.Join(dir, "config.json"), []byte(tt.config))
		}
		if code, _, errs := tessera(t, "doctor", dir); code != exitFailed || !strings.Contains(errs, tt.want) {
			t.Errorf("config %s: exit code %d and %q, want %q", tt.config, code, errs, tt.want)
		}
	}
}

// TestDoctorParts examines the models within a model's folder.
func TestDoctorParts(t *testing.T) {
	_, found := checked(t, "dalle", func(t *testing.T, dir string) {
		if err := os.CopyFS(filepath.Join(dir, imageFolder), os.DirFS("../../testdata/vqvae/tiny")); err != nil {
			t.Fatal(err)
		}
	})
	if !slices.ContainsFunc(found, func(f finding) bool { return f.Check == "vqvae/straight-through gradient" && f.State == healthy }) {
		t.Errorf("the VQ-VAE within is not examined: %+v", found)
	}
}
