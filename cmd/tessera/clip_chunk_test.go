package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/clip"
	"tessera/train"
)

// TestClipTrainChunks wants the weights of the whole batch from its chunks.
func TestClipTrainChunks(t *testing.T) {
	dir := t.TempDir()
	weights := func(name string, more ...string) *clip.Model {
		t.Helper()
		out := filepath.Join(dir, name)
		if code, _, errs := runClip(t, append(append(brief, "--out", out), more...)...); code != exitOK {
			t.Fatal(errs)
		}
		m, err := clip.Load(out, clip.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	whole, chunks, other := weights("whole"), weights("chunks", "--chunk", "10"), weights("other", "--seed", "2")
	distance := func(b *clip.Model) float64 {
		sum, norm := 0.0, 0.0
		for p := range whole.Params().All() {
			w := b.Params().Get(p.Name).Float32s()
			for i, v := range p.Float32s() {
				if len(w) == len(p.Float32s()) { // tokenizers of other captions differ in size
					sum += math.Pow(float64(v-w[i]), 2)
					norm += math.Pow(float64(v), 2)
				}
			}
		}
		return math.Sqrt(sum / norm)
	}
	if d := distance(chunks); d > 1e-3 {
		t.Errorf("weights after 8 steps are off by %g", d)
	}
	if d := distance(other); d < 0.1 {
		t.Errorf("another seed gives weights that are off by %g only", d)
	}
}

// TestClipTrainAverages validates and averages, and goes on to the same bytes.
func TestClipTrainAverages(t *testing.T) {
	table, dir := captionTable(t, 50), t.TempDir()
	whole, resumed := filepath.Join(dir, "whole"), filepath.Join(dir, "resumed")
	code, _, errs := runClip(t, "train", "--data", "captions:"+table, "--preset", "small32", "--vocabulary", "560", "--epochs", "2",
		"--batch", "10", "--val", "0.2", "--ema", "0.9", "--eval-every", "3", "--save-every", "4", "--out", whole, "--chunk", "5")
	if code != exitOK {
		t.Fatal(errs)
	}
	records, err := train.ReadMetrics(filepath.Join(whole, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	validated := 0
	for _, r := range records {
		v, ok := r.Metrics["val_recall"]
		if ok != (r.Step%3 == 0 || r.Step == 8) || ok && !(v >= 0 && v <= 1) {
			t.Errorf("step %d: recall %g, measured: %t", r.Step, v, ok)
		}
		if ok {
			validated++
		}
	}
	if len(records) != 8 || validated != 3 {
		t.Errorf("%d steps, %d validated", len(records), validated)
	}
	// What was saved is the average, not the last weights.
	model := read(t, filepath.Join(whole, "model.safetensors"))
	if bytes.Equal(model, read(t, filepath.Join(whole, "checkpoints", "step-00000008", "model.safetensors"))) {
		t.Error("the saved weights are no averages")
	}
	if _, err := os.Stat(filepath.Join(whole, "checkpoints", "best", "model.safetensors")); err != nil {
		t.Error(err)
	}
	if err := os.CopyFS(resumed, os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(resumed, "checkpoints", "step-00000008")); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runClip(t, "train", "--out", resumed, "--resume"); code != exitOK {
		t.Fatal(errs)
	}
	if !bytes.Equal(model, read(t, filepath.Join(resumed, "model.safetensors"))) {
		t.Error("the resumed run ends with other weights")
	}
	for _, tt := range [][]string{{"--chunk 7 does not divide --batch 10", "--batch", "10", "--chunk", "7"}, {"--ema is 1", "--ema", "1"}, {"--chunk is -1", "--chunk", "-1"}, {"--val is 1", "--val", "1"}} {
		code, _, errs := runClip(t, append([]string{"train", "--data", "shapes", "--out", filepath.Join(dir, "new")}, tt[1:]...)...)
		if code != exitUsage || !strings.Contains(errs, tt[0]) {
			t.Errorf("%v: exit code %d: %s", tt[1:], code, errs)
		}
	}
}
