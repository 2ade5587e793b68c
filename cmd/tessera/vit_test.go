package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/graph"
	"tessera/vit"
)

// cancelAfter cancels a context when n lines have been written to it.
type cancelAfter struct {
	cancel context.CancelFunc
	n      int
	bytes.Buffer
}

func (c *cancelAfter) Write(p []byte) (int, error) {
	if c.n--; c.n == 0 {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

// TestResume interrupts runs and lets them go on; neither that nor the number of
// workers may change a byte.
func TestResume(t *testing.T) {
	args := func(dir string, workers int) []string {
		return []string{
			"vit", "train", "--data", "shapes:80", "--out", dir, "--workers", fmt.Sprint(workers), "--batch", "16",
			"--accumulate", "2", "--steps", "4", "--ema", "0.9", "--dropout", "0.1", "--drop-path", "0.1",
			"--mixup", "0.2", "--mix-prob", "0.5", "--augment", "flip,shift", "--eval-every", "2", "--save-every", "2",
			"--layer-decay", "0.8", "--label-smoothing", "0.1",
		}
	}
	files := []string{
		"model.safetensors", "config.json", "checkpoints/step-00000004/model.safetensors",
		"checkpoints/step-00000004/optim.safetensors", "checkpoints/step-00000004/ema.safetensors",
		"checkpoints/step-00000004/trainer.json", "curves.svg",
	}
	sums := func(dir string) (s []string) {
		for _, f := range files {
			s = append(s, fmt.Sprintf("%x %s", sha256.Sum256(read(t, filepath.Join(dir, f))), f))
		}
		return s
	}
	whole := filepath.Join(t.TempDir(), "whole")
	ok(t, args(whole, 1)...)
	want := sums(whole)

	for _, workers := range []int{2, 5} {
		dir := filepath.Join(t.TempDir(), "parts")
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		// The first line of progress comes with the first step.
		stderr := &cancelAfter{cancel: cancel, n: 1}
		if code := run(ctx, args(dir, workers), nil, &out, stderr); code != exitFailed || !strings.Contains(stderr.String(), "--resume") {
			t.Fatalf("interrupted run: exit code %d, message %q", code, stderr.String())
		}
		ok(t, "vit", "train", "--out", dir, "--resume", "--workers", fmt.Sprint(workers))
		if got := sums(dir); !slices.Equal(got, want) {
			t.Errorf("%d workers, resumed:\n%s\nwant\n%s", workers, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := bytes.Count(read(t, filepath.Join(dir, "metrics.jsonl")), []byte("\n")); n != 4 {
			t.Errorf("metrics of %d steps, want 4", n)
		}
	}
}

func TestTrainReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	out := ok(t, "vit", "train", "--data", "shapes:64", "--out", dir, "--batch", "16", "--steps", "2")
	for _, want := range []string{"train accuracy", "validation accuracy", "test accuracy", "149,470", "tessera vit eval --model " + dir} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q:\n%s", want, out)
		}
	}
	for _, f := range []string{"curves.svg", "checkpoints/best/model.safetensors", preprocessFile} {
		if len(read(t, filepath.Join(dir, f))) == 0 {
			t.Errorf("%s is empty", f)
		}
	}
}

func TestEval(t *testing.T) {
	dir := tiny(t)
	var s score
	if err := json.Unmarshal([]byte(ok(t, "vit", "eval", "--model", dir, "--data", "shapes:50", "--split", "train", "--batch", "16", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	images, correct := 0, 0
	for _, c := range s.Classes {
		images += c.Images
		correct += c.Correct
	}
	if s.Images != 50 || images != 50 || s.Split != "train" || math.Abs(s.Accuracy-float64(correct)/50) > 1e-12 {
		t.Errorf("%d images, %d by class, split %q, accuracy %g of %d correct", s.Images, images, s.Split, s.Accuracy, correct)
	}
	if !(s.Loss > 1 && s.Loss < 10) {
		t.Errorf("loss %g of a fresh model of 30 classes, want about ln 30", s.Loss)
	}
	// The table shows the same.
	out := ok(t, "vit", "eval", "--model", dir, "--data", "shapes:50", "--split", "train", "--batch", "50")
	if want := fmt.Sprintf("%.4f", s.Loss); !strings.Contains(out, want) {
		t.Errorf("table lacks the loss %s:\n%s", want, out)
	}
}

func TestPredict(t *testing.T) {
	dir, photos := tiny(t), t.TempDir()
	for i := range predictBatch + 1 {
		write(t, filepath.Join(photos, fmt.Sprintf("%02d.png", i)), read(t, "../../testdata/preprocess/tiny.png"))
	}
	write(t, filepath.Join(photos, "05.jpg"), []byte{0xff, 0xd8, 0xff, 0xe0, 0, 1})
	write(t, filepath.Join(photos, "notes.txt"), []byte("no image"))

	code, stdout, stderr := tessera(t, "vit", "predict", "--model", dir, "--json", "--logits", "--top", "3", photos)
	if code != exitFailed || strings.Count(stderr, "05.jpg") == 0 || strings.Contains(stderr, "notes.txt") || strings.Count(stderr, "\n") != 2 {
		t.Errorf("exit code %d, messages %q, want 1 and a warning for 05.jpg", code, stderr)
	}
	var found []prediction
	if err := json.Unmarshal([]byte(stdout), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != predictBatch+1 {
		t.Fatalf("%d predictions, want %d", len(found), predictBatch+1)
	}
	for _, p := range found {
		if len(p.Classes) != 3 || p.Classes[0].Probability < p.Classes[1].Probability || len(p.Logits) != 30 {
			t.Errorf("%s: classes %v and %d logits, want 3 in order and 30", p.File, p.Classes, len(p.Logits))
		}
		// Alone or in a batch, an image gives the same.
		if !slices.Equal(p.Logits, found[len(found)-1].Logits) {
			t.Errorf("%s: logits differ from those of the same image in %s", p.File, found[len(found)-1].File)
		}
	}
	if out := ok(t, "vit", "predict", "--model", dir, "--top", "1", filepath.Join(photos, "00.png")); !strings.Contains(out, found[0].Classes[0].Label) {
		t.Errorf("table %q lacks %q", out, found[0].Classes[0].Label)
	}
}

func TestFolder(t *testing.T) {
	photos := classFolder(t, "cat", "dog")
	write(t, filepath.Join(photos, "cat", "broken.jpg"), []byte("no image"))
	dir := filepath.Join(t.TempDir(), "run")
	code, _, stderr := tessera(t, "vit", "train", "--data", photos, "--out", dir, "--batch", "3", "--steps", "3", "--preset", "small32", "--val", "0.3")
	if code != exitOK || !strings.Contains(stderr, "broken.jpg") {
		t.Errorf("exit code %d, messages %q, want 0 and a warning for broken.jpg", code, stderr)
	}
	out := ok(t, "vit", "eval", "--model", dir, "--data", photos, "--val", "0.3")
	if !strings.Contains(out, "val accuracy") {
		t.Errorf("evaluation is not of the part held out:\n%s", out)
	}
}

// TestTestImagesChooseNothing trains on a data set that has test images but none
// for validation, and then on one that holds some out.
func TestTestImagesChooseNothing(t *testing.T) {
	digits := t.TempDir()
	for name, n := range map[string]byte{"train": 40, "t10k": 10} {
		images := append([]byte{0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28}, make([]byte, int(n)*28*28)...)
		labels := []byte{0, 0, 8, 1, 0, 0, 0, n}
		for i := range n {
			labels = append(labels, i%10)
		}
		write(t, filepath.Join(digits, name+"-images-idx3-ubyte"), images)
		write(t, filepath.Join(digits, name+"-labels-idx1-ubyte"), labels)
	}
	for _, tt := range []struct {
		val  string
		best bool
	}{{"-1", false}, {"0.25", true}} {
		dir := filepath.Join(t.TempDir(), "run")
		out := ok(t, "vit", "train", "--data", "mnist:"+digits, "--out", dir, "--batch", "10", "--steps", "2", "--val", tt.val)
		_, err := os.Stat(filepath.Join(dir, "checkpoints", "best"))
		if best := err == nil; best != tt.best {
			t.Errorf("with --val %s: a best checkpoint: %v, want %v", tt.val, best, tt.best)
		}
		if !strings.Contains(out, "test accuracy") || strings.Contains(out, "test images choose nothing") == tt.best {
			t.Errorf("with --val %s:\n%s", tt.val, out)
		}
		if line := string(read(t, filepath.Join(dir, "metrics.jsonl"))); strings.Contains(line, "val_accuracy") != tt.best {
			t.Errorf("with --val %s: metrics %s", tt.val, line)
		}
	}
}

func TestFineTune(t *testing.T) {
	base, photos := tiny(t), classFolder(t, "cat", "dog")
	dir := filepath.Join(t.TempDir(), "run")
	ok(t, "vit", "train", "--data", photos, "--out", dir, "--init", base, "--batch", "3", "--steps", "2",
		"--freeze", "vit.*", "--dropout", "0.1", "--val", "0")
	before, err := vit.Load(base, vit.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := vit.Load(dir, vit.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.Classes() != 2 || after.Label(1) != "dog" || after.HiddenDropout != 0.1 {
		t.Errorf("classes %v, dropout %g", after.Labels, after.HiddenDropout)
	}
	for p := range before.Params().All() {
		if strings.HasPrefix(p.Name, "vit.") && !slices.Equal(p.Float32s(), after.Params().Get(p.Name).Float32s()) {
			t.Errorf("%s was frozen, but has changed", p.Name)
		}
	}
}

func TestFreezeAndDepth(t *testing.T) {
	c, err := vit.Preset("small32")
	if err != nil {
		t.Fatal(err)
	}
	m, err := vit.New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := freeze(m.Params(), []string{"vit.embeddings.*", "*.bias"}); err != nil {
		t.Fatal(err)
	}
	depth := depthOf(c.Layers)
	for p := range m.Params().All() {
		if want := strings.HasPrefix(p.Name, "vit.embeddings.") || strings.HasSuffix(p.Name, ".bias"); p.Frozen != want {
			t.Errorf("%s: frozen %v, want %v", p.Name, p.Frozen, want)
		}
		want := c.Layers + 1
		if strings.HasPrefix(p.Name, "vit.embeddings.") {
			want = 0
		}
		for i := range c.Layers {
			if strings.HasPrefix(p.Name, fmt.Sprintf("vit.encoder.layer.%d.", i)) {
				want = i + 1
			}
		}
		if got := depth(p.Name); got != want {
			t.Errorf("%s is in layer %d, want %d", p.Name, got, want)
		}
	}
}
