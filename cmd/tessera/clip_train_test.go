package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/train/data"
)

// brief are the flags of a training run of eight steps.
var brief = []string{"train", "--data", "shapes:400", "--batch", "50", "--epochs", "1", "--save-every", "4"}

func TestClipTrain(t *testing.T) {
	dir := t.TempDir()
	whole, resumed := filepath.Join(dir, "whole"), filepath.Join(dir, "resumed")
	code, out, errs := runClip(t, append(brief, "--out", whole, "--workers", "1")...)
	if code != exitOK {
		t.Fatal(errs)
	}
	for _, want := range []string{"test zero-shot accuracy", "held-out zero-shot accuracy", "held-out text to image", "of 40 images, 30 classes)", "of 40, median rank", "never seen in training", "steps", "8"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the report:\n%s", want, out)
		}
	}
	// Go on from the middle, with other workers, to the same bytes.
	if err := os.CopyFS(resumed, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(resumed, "checkpoints", "step-00000008")); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runClip(t, "train", "--out", resumed, "--resume", "--workers", "3"); code != exitOK {
		t.Fatal(errs)
	}
	for _, name := range []string{"model.safetensors", "config.json", "vocab.json", "merges.txt", "preprocessor_config.json"} {
		want, err := os.ReadFile(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(resumed, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs in the resumed run (%v)", name, err)
		}
	}
	// What it wrote is a model for the other commands.
	if code, out, errs := runClip(t, "embed", "--model", whole, "--text", "a red circle"); code != exitOK || len(embeddings(t, out)) != 1 {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestClipTrainLocked(t *testing.T) {
	for tower, part := range map[string]string{"image": "vision_model.", "text": "text_model."} {
		out := filepath.Join(t.TempDir(), "out")
		if code, _, errs := runClip(t, append(brief, "--out", out, "--lock", tower, "--loss", "sigmoid", "--held-out", "0", "--layer-decay", "0.8", "--same=false")...); code != exitOK {
			t.Fatal(errs)
		}
		first, last := filepath.Join(out, "checkpoints", "step-00000004"), out
		a, err := clip.Load(first, clip.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := clip.Load(last, clip.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if a.LogitBias == nil {
			t.Error("the sigmoid loss has a bias")
		}
		for p := range a.Params().All() {
			same := slices.Equal(p.Float32s(), b.Params().Get(p.Name).Float32s())
			if locked := strings.HasPrefix(p.Name, part); locked && !same {
				t.Errorf("--lock %s: %s changed", tower, p.Name)
			} else if !locked && strings.HasSuffix(p.Name, "fc1.weight") && same {
				t.Errorf("--lock %s: %s did not change", tower, p.Name)
			}
		}
	}
}

func TestClipTrainUsage(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "new")
	for _, tt := range []struct {
		want string
		code int
		args []string
	}{
		{"--out is missing", exitUsage, []string{"--data", "shapes"}},
		{"--data is missing", exitUsage, []string{"--out", empty}},
		{"is not empty", exitFailed, []string{"--data", "shapes", "--out", full}},
		{"no checkpoint", exitFailed, []string{"--out", full, "--resume"}},
		{"did you mean \"small32\"", exitUsage, []string{"--data", "shapes", "--out", empty, "--preset", "smal32"}},
		{"unknown loss", exitUsage, []string{"--data", "shapes", "--out", empty, "--loss", "triplet"}},
		{"unknown tower", exitUsage, []string{"--data", "shapes", "--out", empty, "--lock", "both"}},
		{"--vocabulary is 100", exitUsage, []string{"--data", "shapes", "--out", empty, "--vocabulary", "100"}},
		{"--held-out 40", exitUsage, []string{"--data", "shapes", "--out", empty, "--held-out", "40"}},
		{"--batch 300 exceeds", exitUsage, []string{"--data", "shapes:200", "--out", empty, "--batch", "300"}},
		{"has no {}", exitUsage, []string{"--data", "shapes", "--out", empty, "--template", "a photo"}},
	} {
		code, _, errs := runClip(t, append([]string{"train"}, tt.args...)...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit code %d and %q, want %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
}

// TestAddTexts wants equal labels exactly where captions, or classes, are equal.
func TestAddTexts(t *testing.T) {
	shapes := data.Shapes{N: 100, Size: 16, Seed: 1}
	c := captions{classes: shapes.Classes(), templates: shapeTemplates(), own: shapes}
	tokens, err := bpe.Train(c.all, 640, bpe.OpenAI)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clip.Preset("small32")
	if err != nil {
		t.Fatal(err)
	}
	config.SetVocabulary(tokens.Size(), tokens.Start(), tokens.End())
	const n = 60
	batch := func() data.Minibatch {
		labels := make([]float32, n*30)
		m := data.Minibatch{Index: make([]int, n), Batch: data.Batch{"label": tensor.New(tensor.WithShape(n, 30), tensor.WithBacking(labels))}}
		for i := range n {
			m.Index[i] = i
			ex, err := shapes.Example(i)
			if err != nil {
				t.Fatal(err)
			}
			labels[i*30+ex.Label] = 1
		}
		return m
	}
	m := batch()
	texts, length := make([]string, n), c.longest(tokens)
	for i := range n {
		texts[i], _ = c.of(m, i)
		if !slices.Contains(slices.Collect(c.all), texts[i]) {
			t.Errorf("caption %q is none of the prompts", texts[i])
		}
	}
	if err := addTexts(m, c, tokens, config.Text, length, map[string][]int{}); err != nil {
		t.Fatal(err)
	}
	labels, ids, ends := m.Batch["label"].Float32s(), m.Batch["ids"].Float32s(), m.Batch["ends"].Float32s()
	for i := range n {
		for j := range i {
			if (texts[i] == texts[j]) != (labels[i] == labels[j]) {
				t.Errorf("%q and %q have labels %g and %g", texts[i], texts[j], labels[i], labels[j])
			}
		}
		var own []int
		for _, id := range ids[i*length:][:int(ends[i])+1] {
			own = append(own, int(id))
		}
		if !slices.Equal(own, tokens.Encode(texts[i])) {
			t.Errorf("%q has ids %v", texts[i], own)
		}
	}
	// Without captions, templates are around the class, which is the label.
	c.own, c.templates = nil, []string{"a {}", "the {}"}
	m = batch()
	first, class := c.of(m, 3)
	if !strings.HasSuffix(first, c.classes[class]) {
		t.Errorf("caption %q of class %s", first, c.classes[class])
	}
	seen := map[string]bool{}
	for m.Epoch = range 20 {
		text, _ := c.of(m, 3)
		seen[strings.Fields(text)[0]] = true
	}
	if len(seen) != 2 {
		t.Errorf("templates %v, want both", seen)
	}
}
