package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tinyVQVAE trains a model for some steps on drawn images and returns its folder.
func tinyVQVAE(t *testing.T, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	ok(t, append([]string{"vqvae", "train", "--data", "shapes:64", "--out", dir, "--batch", "16", "--steps", "4", "--codes", "32", "--workers", "2"}, args...)...)
	return dir
}

func TestVQVAETrain(t *testing.T) {
	for _, kind := range []string{"gradient", "ema", "gumbel", "fsq"} {
		dir := filepath.Join(t.TempDir(), "run")
		out := ok(t, "vqvae", "train", "--data", "shapes:64", "--out", dir, "--batch", "16", "--steps", "2", "--codes", "30", "--quantizer", kind, "--residual-blocks", "1")
		for _, want := range []string{"train PSNR", "validation PSNR", "test PSNR", "of 30 codes", "8×8", "tessera vqvae reconstruct --model " + dir} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: report lacks %q:\n%s", kind, want, out)
			}
		}
		for _, f := range []string{"model.safetensors", "config.json", "metrics.jsonl", "checkpoints/best/model.safetensors"} {
			if len(read(t, filepath.Join(dir, f))) == 0 {
				t.Errorf("%s: %s is empty", kind, f)
			}
		}
	}
}

// TestVQVAEResume interrupts a run and lets it go on, with another number of
// workers; the model has the bytes of a run that was not interrupted.
func TestVQVAEResume(t *testing.T) {
	for _, kind := range []string{"ema", "gumbel"} {
		args := func(dir string) []string {
			return []string{"vqvae", "train", "--data", "shapes:64", "--out", dir, "--batch", "16", "--steps", "4", "--codes", "32",
				"--quantizer", kind, "--save-every", "2", "--augment", "flip"}
		}
		whole := filepath.Join(t.TempDir(), "whole")
		ok(t, args(whole)...)
		parts := filepath.Join(t.TempDir(), "parts")
		ctx, cancel := context.WithCancel(t.Context())
		stderr := &cancelAfter{cancel: cancel, n: 1}
		var out bytes.Buffer
		if code := run(ctx, append(args(parts), "--workers", "1"), nil, &out, stderr); code != exitFailed || !strings.Contains(stderr.String(), "--resume") {
			t.Fatalf("interrupted run: exit code %d, message %q", code, stderr.String())
		}
		ok(t, "vqvae", "train", "--out", parts, "--resume", "--workers", "3")
		for _, f := range []string{"model.safetensors", "config.json", "checkpoints/step-00000004/optim.safetensors"} {
			if !bytes.Equal(read(t, filepath.Join(whole, f)), read(t, filepath.Join(parts, f))) {
				t.Errorf("%s: %s differs after a resumption", kind, f)
			}
		}
	}
}

func TestVQVAETokens(t *testing.T) {
	dir := tinyVQVAE(t)
	tmp := t.TempDir()
	npy, lines := filepath.Join(tmp, "a.npy"), filepath.Join(tmp, "a.jsonl")
	ok(t, "vqvae", "encode", "--model", dir, "--data", "shapes:64", "--n", "5", "--batch", "2", "-o", npy)
	ok(t, "vqvae", "encode", "--model", dir, "--data", "shapes:64", "--n", "5", "-o", lines)
	a, err := readTokens(npy)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readTokens(lines)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != 5 || len(b) != 5 || b[3].Name == "" {
		t.Fatalf("%d and %d images, want 5 with names", len(a), len(b))
	}
	for i := range a {
		x, err := a[i].flat(8)
		if err != nil {
			t.Fatal(err)
		}
		if y, _ := b[i].flat(8); !slices.Equal(x, y) {
			t.Errorf("image %d has tokens %v in one file, %v in the other", i, x, y)
		}
	}
	for _, file := range []string{npy, lines} {
		out := filepath.Join(tmp, filepath.Base(file)+".images")
		ok(t, "vqvae", "decode", "--model", dir, "-o", out, file)
		for _, name := range []string{"000000.png", "000004.png"} {
			f, err := os.Open(filepath.Join(out, name))
			if err != nil {
				t.Fatal(err)
			}
			im, err := png.Decode(f)
			f.Close()
			if err != nil || im.Bounds().Dx() != 32 || im.Bounds().Dy() != 32 {
				t.Errorf("%s: %v, error %v; want 32×32 pixels", name, im.Bounds(), err)
			}
		}
	}
	// Decoded images, encoded as files, by name.
	out := ok(t, "vqvae", "encode", "--model", dir, filepath.Join(tmp, "a.npy.images"))
	if n := strings.Count(out, "\n"); n != 5 || !strings.Contains(out, "000004.png") {
		t.Errorf("%d lines:\n%s", n, out)
	}
	pairs := filepath.Join(tmp, "pairs.png")
	ok(t, "vqvae", "reconstruct", "--model", dir, "--data", "shapes:64", "--n", "3", "-o", pairs)
	f, err := os.Open(pairs)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	im, err := png.DecodeConfig(f)
	if err != nil || im.Width != 3*98+2 || im.Height != 2*98+2 {
		t.Errorf("%d×%d pixels, error %v; want three pairs of 96 pixels a side", im.Width, im.Height, err)
	}
}

func TestVQVAEEval(t *testing.T) {
	dir := tinyVQVAE(t)
	var q quality
	if err := json.Unmarshal([]byte(ok(t, "vqvae", "eval", "--model", dir, "--data", "shapes:64", "--json")), &q); err != nil {
		t.Fatal(err)
	}
	if q.Images != 6 || q.Codes != 32 || q.Used < 1 || q.Perplexity < 1 || q.Perplexity > float64(q.Used) || q.Split != "test" {
		t.Errorf("%+v", q)
	}
	if !(q.MSE > 0 && q.MSE < 1) || !(q.PSNR > 0) || !(q.SSIM > -1 && q.SSIM < 1) {
		t.Errorf("%+v", q)
	}
}

func TestVQVAEErrors(t *testing.T) {
	dir := tinyVQVAE(t)
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	write(t, bad, []byte(`{"tokens":[[1,2],[3]]}`))
	large := filepath.Join(t.TempDir(), "large.jsonl")
	row := "[" + strings.Repeat("0,", 7) + "32]"
	write(t, large, []byte(`{"tokens":[`+strings.Repeat(row+",", 7)+row+`]}`))
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--out is missing", []string{"train", "--data", "shapes"}},
		{exitUsage, "--data is missing", []string{"train", "--out", "x"}},
		{exitUsage, "unknown quantizer \"emma\": did you mean \"ema\"", []string{"train", "--data", "shapes", "--out", "x", "--quantizer", "emma"}},
		{exitUsage, "unknown preset", []string{"train", "--data", "shapes", "--out", filepath.Join(t.TempDir(), "x"), "--preset", "huge"}},
		{exitUsage, "--codes is 1", []string{"train", "--data", "shapes", "--out", "x", "--codes", "1"}},
		{exitFailed, "is not empty", []string{"train", "--data", "shapes", "--out", dir}},
		{exitFailed, "no checkpoint", []string{"train", "--out", dir + "none", "--resume"}},
		{exitUsage, "--model is missing", []string{"eval", "--data", "shapes"}},
		{exitUsage, "name image files", []string{"encode", "--model", dir}},
		{exitUsage, "exclude each other", []string{"encode", "--model", dir, "--data", "shapes", "x.png"}},
		{exitFailed, "2 rows of tokens, the model has 8", []string{"decode", "--model", dir, "-o", "x.png", bad}},
		{exitFailed, "token 7 of image 0 is 32, want 0 to 31", []string{"decode", "--model", dir, "-o", "x.png", large}},
		{exitFailed, "could not be read", []string{"encode", "--model", dir, "missing.png"}},
	} {
		code, _, stderr := tessera(t, append([]string{"vqvae"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("vqvae %s: exit code %d, message %q; want %d and %q", strings.Join(tt.args, " "), code, stderr, tt.code, tt.want)
		}
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte(`{"name":"a","tokens":[[1,2],[3,4]]}` + "\n\n" + `{"tokens":[[0]]}`))
	f.Add([]byte(`{"tokens":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		grids, err := parseTokens(text)
		if err != nil {
			return
		}
		for _, g := range grids {
			if ids, err := g.flat(2); err == nil && len(ids) != 4 {
				t.Errorf("%d tokens in a grid of 2×2", len(ids))
			}
		}
	})
}
