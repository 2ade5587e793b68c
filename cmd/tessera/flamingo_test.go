package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/train/data"
)

// tinyLanguage trains a language model for few steps and returns its folder.
func tinyLanguage(t *testing.T, args ...string) string {
	t.Helper()
	text := filepath.Join(t.TempDir(), "text.txt")
	lines := shapeTexts(data.Shapes{N: 60, Size: data.MinShapeSize, Seed: 1})
	write(t, text, []byte(strings.Join(lines, "\n")))
	dir := filepath.Join(t.TempDir(), "language")
	ok(t, append([]string{"flamingo", "pretrain-lm", "--out", dir, "--text", text, "--vocab-size", "400", "--width", "16",
		"--layers", "2", "--heads", "2", "--context", "80", "--batch", "4", "--steps", "4"}, args...)...)
	return dir
}

// drawn writes a drawn image and returns its path.
func drawn(t *testing.T) string {
	t.Helper()
	ex, err := data.Shapes{N: 1, Size: 32, Seed: 9}.Example(0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "drawn.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, ex.Image.Std()); err != nil {
		t.Fatal(err)
	}
	return path
}

// flamingoArgs train a small model on few images.
func flamingoArgs(language, vision, out string) []string {
	return []string{"flamingo", "train", "--data", "shapes:24", "--language", language, "--vision", vision, "--out", out, "--batch", "8",
		"--steps", "4", "--shots", "1", "--latents", "3", "--depth", "1", "--heads", "2", "--head-width", "5", "--save-every", "2", "--hold-out", "3"}
}

func TestFlamingo(t *testing.T) {
	language, vision, dir := tinyLanguage(t), tiny(t), filepath.Join(t.TempDir(), "run")
	out := ok(t, flamingoArgs(language, vision, dir)...)
	for _, want := range []string{"train NLL", "validation NLL", "test NLL", "trained of", "tessera flamingo eval --model " + dir} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q:\n%s", want, out)
		}
	}
	if !bytes.Equal(read(t, filepath.Join(language, "model.safetensors")), read(t, filepath.Join(dir, "language", "model.safetensors"))) {
		t.Error("the language model beside the model is another one")
	}
	var s described
	report := ok(t, "flamingo", "eval", "--model", dir, "--data", "shapes:24", "--n", "2", "--shots", "0,2", "--hold-out", "3", "--max-tokens", "4", "--json")
	if err := json.Unmarshal([]byte(report), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Parts) != 4 || s.Parts[1].Shots != 2 || s.Parts[2].Part != "held-out" || s.Parts[0].Questions != 8 {
		t.Errorf("%+v", s)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	for range 2 { // the second from the cache
		again := ok(t, "flamingo", "eval", "--model", dir, "--data", "shapes:24", "--n", "2", "--shots", "0,2", "--hold-out", "3", "--max-tokens", "4", "--json", "--cache", cache)
		if again != report {
			t.Errorf("with a cache: %s\nwithout: %s", again, report)
		}
	}
	kept, err := filepath.Glob(filepath.Join(cache, "patches-*.safetensors"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("the cache has files %v, error %v", kept, err)
	}
	write(t, kept[0], []byte("not tensors"))
	if code, _, stderr := tessera(t, "flamingo", "eval", "--model", dir, "--data", "shapes:24", "--cache", cache); code != exitFailed || !strings.Contains(stderr, kept[0]) {
		t.Errorf("a broken cache: exit code %d, message %q", code, stderr)
	}
	im := drawn(t)
	for _, args := range [][]string{
		{"--model", dir, "--image", im},
		{"--model", filepath.Join(dir, "checkpoints", "step-00000004"), "--image", im, "--shot", im + "=a red circle", "--temperature", "1", "--n", "2"},
		{"--model", dir, "--image", im, "--image", im, "--prompt", "<image>Output: a star<|endofchunk|><image>Output:", "--beams", "2"},
	} {
		out := ok(t, append([]string{"flamingo", "generate", "--max-tokens", "5", "--json"}, args...)...)
		var texts []string
		if err := json.Unmarshal([]byte(out), &texts); err != nil || len(texts) < 1 {
			t.Errorf("generate %v: %q, error %v", args, out, err)
		}
	}
}

func TestFlamingoRICES(t *testing.T) {
	language, vision, dir := tinyLanguage(t), filepath.Join(t.TempDir(), "clip"), filepath.Join(t.TempDir(), "run")
	ok(t, "clip", "train", "--data", "shapes:32", "--out", vision, "--batch", "16", "--epochs", "1")
	ok(t, append(flamingoArgs(language, vision, dir), "--all-images", "--image-times", "--every", "2")...)
	args := []string{"flamingo", "generate", "--model", dir, "--image", drawn(t), "--examples", "shapes:20", "--clip", filepath.Join(dir, "vision"),
		"--max-tokens", "3", "--rices"}
	ok(t, append(args, "1")...)
	code, _, stderr := tessera(t, append(args, "2")...)
	if code != exitFailed || !strings.Contains(stderr, "3 images, want at most 2") {
		t.Errorf("more images than in training: exit code %d, message %q", code, stderr)
	}
}

// TestFlamingoResume interrupts runs and lets them go on; the models have the
// bytes of runs that were not interrupted.
func TestFlamingoResume(t *testing.T) {
	language, vision := tinyLanguage(t), tiny(t)
	text := filepath.Join(t.TempDir(), "text.txt")
	write(t, text, []byte(strings.Repeat("a small red circle on the left. ", 100)))
	for _, args := range []func(dir string) []string{
		func(dir string) []string { return flamingoArgs(language, vision, dir) },
		func(dir string) []string {
			return []string{"flamingo", "pretrain-lm", "--out", dir, "--text", text, "--vocab-size", "280", "--width", "16", "--layers", "1",
				"--heads", "2", "--context", "16", "--batch", "4", "--steps", "4", "--save-every", "2", "--dropout", "0.1"}
		},
	} {
		whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
		ok(t, args(whole)...)
		ctx, cancel := context.WithCancel(t.Context())
		stderr := &cancelAfter{cancel: cancel, n: 1}
		var out bytes.Buffer
		if code := run(ctx, args(parts), nil, &out, stderr); code != exitFailed || !strings.Contains(stderr.String(), "--resume") {
			t.Fatalf("interrupted run: exit code %d, message %q", code, stderr.String())
		}
		ok(t, args("")[0], args("")[1], "--out", parts, "--resume")
		for _, f := range []string{"model.safetensors", "config.json", "checkpoints/step-00000004/optim.safetensors"} {
			if !bytes.Equal(read(t, filepath.Join(whole, f)), read(t, filepath.Join(parts, f))) {
				t.Errorf("%s: %s differs after a resumption", args("")[1], f)
			}
		}
	}
}

func TestFlamingoErrors(t *testing.T) {
	language, vision := tinyLanguage(t), tiny(t)
	im := drawn(t)
	dir := filepath.Join(t.TempDir(), "run")
	ok(t, flamingoArgs(language, vision, dir)...)
	fresh := filepath.Join(t.TempDir(), "fresh")
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--out is missing", []string{"pretrain-lm"}},
		{exitUsage, "--context is 1", []string{"pretrain-lm", "--out", fresh, "--context", "1"}},
		{exitUsage, "--heads is 3, want a divisor", []string{"pretrain-lm", "--out", fresh, "--heads", "3"}},
		{exitFailed, "no such file", []string{"pretrain-lm", "--out", fresh, "--text", "missing.txt"}},
		{exitFailed, "want 128 of each", []string{"pretrain-lm", "--out", fresh, "--text", filepath.Join(language, "tokenizer_config.json")}},
		{exitUsage, "--data is missing", []string{"train", "--out", fresh}},
		{exitUsage, "--language is missing", []string{"train", "--out", fresh, "--data", "shapes"}},
		{exitUsage, "--vision is missing", []string{"train", "--out", fresh, "--data", "shapes", "--language", language}},
		{exitUsage, "\"some\" is nothing to show", []string{"train", "--out", fresh, "--data", "shapes", "--language", language, "--vision", vision, "--show", "some"}},
		{exitFailed, "is no vision tower", []string{"train", "--out", fresh, "--data", "shapes", "--language", language, "--vision", language}},
		{exitUsage, "but the language model takes 80", []string{"train", "--out", fresh, "--data", "shapes:24", "--language", language, "--vision", vision, "--shots", "9"}},
		{exitUsage, "--hold-out 30", []string{"train", "--out", fresh, "--data", "shapes:24", "--language", language, "--vision", vision, "--hold-out", "30"}},
		{exitFailed, "is not empty", []string{"train", "--out", dir, "--data", "shapes:24", "--language", language, "--vision", vision}},
		{exitFailed, "no checkpoint", []string{"train", "--out", fresh, "--resume"}},
		{exitUsage, "--model is missing", []string{"eval", "--data", "shapes"}},
		{exitUsage, "--shots is", []string{"eval", "--model", dir, "--data", "shapes", "--shots", "-1"}},
		{exitUsage, "--image is missing", []string{"generate", "--model", dir}},
		{exitUsage, "<image> 2 times for 1 times --image", []string{"generate", "--model", dir, "--image", im, "--prompt", "<image><image>"}},
		{exitUsage, "want FILE=TEXT", []string{"generate", "--model", dir, "--image", im, "--shot", "x"}},
		{exitUsage, "--rices 2", []string{"generate", "--model", dir, "--image", im, "--rices", "2"}},
		{exitFailed, "missing.png", []string{"generate", "--model", dir, "--image", "missing.png"}},
		{exitFailed, "the language model takes 80", []string{"generate", "--model", dir, "--image", im, "--prompt", "<image>" + strings.Repeat("x y ", 40)}},
	} {
		code, _, stderr := tessera(t, append([]string{"flamingo"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("flamingo %s: exit code %d, message %q; want %d and %q", strings.Join(tt.args, " "), code, stderr, tt.code, tt.want)
		}
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a run that could not begin left a folder")
	}
}
