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

	"github.com/spf13/cobra"

	"tessera/clip"
	"tessera/graph/safetensors"
)

const (
	goldenClip = "../../testdata/clip/tiny"
	photos     = "../../testdata/preprocess"
)

// runClip executes "clip" with args and returns what it printed.
func runClip(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	root := &cobra.Command{Use: "tessera", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newClip())
	checkArgs(root)
	var out, errs bytes.Buffer
	root.SetArgs(append([]string{"clip"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(strings.NewReader("red\n\ngreen thing\n"))
	err := root.ExecuteContext(t.Context())
	if err != nil {
		errs.WriteString(err.Error())
	}
	return exitCode(err), out.String(), errs.String()
}

// embeddings parses lines of JSON.
func embeddings(t *testing.T, text string) []embedding {
	t.Helper()
	var all []embedding
	d := json.NewDecoder(strings.NewReader(text))
	for d.More() {
		var e embedding
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// embedFile embeds an image alone.
func (e *embedder) embedFile(t *testing.T, file string) (row []float32) {
	t.Helper()
	failed, err := e.embedImages(t.Context(), []string{file}, func(_ string, r []float32) error {
		row = r
		return nil
	})
	if err != nil || failed > 0 {
		t.Fatalf("%s: %d failed, error %v", file, failed, err)
	}
	return row
}

func apart(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// TestClipEmbedTexts holds the whole path from sentences to vectors against
// openai/CLIP.
func TestClipEmbedTexts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(goldenClip, "texts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	if err := json.Unmarshal(text, &texts); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(goldenClip, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := f.Float32("text_embeds")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"embed", "--model", goldenClip}
	for _, s := range texts {
		args = append(args, "--text", s)
	}
	code, out, errs := runClip(t, args...)
	if code != exitOK {
		t.Fatal(errs)
	}
	all := embeddings(t, out)
	if len(all) != len(texts) {
		t.Fatalf("%d lines, want %d", len(all), len(texts))
	}
	for i, e := range all {
		if e.Text == nil || *e.Text != texts[i] || apart(e.Embedding, want[32*i:][:32]) > 1e-5 {
			t.Errorf("line %d: text %q is %g from the reference", i, texts[i], apart(e.Embedding, want[32*i:][:32]))
		}
	}
}

// TestClipEmbedImages embeds a folder, and one file of it by the library.
func TestClipEmbedImages(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"horse.png", "camera.png", "palette.png"} {
		text, err := os.ReadFile(filepath.Join(photos, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "damaged.png"), []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runClip(t, "embed", "--model", goldenClip, "--image", dir, "--texts-from", "-")
	if code != exitFailed || !strings.Contains(errs, "damaged.png") || !strings.Contains(errs, "1 of the files") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	all := embeddings(t, out)
	var names []string
	for _, e := range all {
		if e.Text != nil {
			names = append(names, "text "+*e.Text)
		} else {
			names = append(names, filepath.Base(e.Image))
		}
		norm := 0.0
		for _, v := range e.Embedding {
			norm += float64(v) * float64(v)
		}
		if math.Abs(norm-1) > 1e-5 {
			t.Errorf("%s has length %g, want 1", names[len(names)-1], math.Sqrt(norm))
		}
	}
	if want := []string{"text red", "text ", "text green thing", "camera.png", "horse.png", "palette.png"}; !slices.Equal(names, want) {
		t.Fatalf("results for %q, want %q", names, want)
	}
	e, err := loadEmbedder(goldenClip, "", logger(&cobra.Command{}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	alone := e.embedFile(t, filepath.Join(photos, "horse.png"))
	if d := apart(alone, all[4].Embedding); d > 1e-6 {
		t.Errorf("the horse alone is %g from itself among others", d)
	}

	matrix := filepath.Join(t.TempDir(), "x.npy")
	if code, out, errs := runClip(t, "embed", "--model", goldenClip, "--image", filepath.Join(photos, "horse.png"), "--text", "red", "--out", matrix); code != exitOK || out != "" {
		t.Fatalf("exit code %d, %q: %s", code, out, errs)
	}
	text, err := os.ReadFile(matrix)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(text) - 2*32*4; n%64 != 0 || !strings.HasPrefix(string(text), "\x93NUMPY\x01\x00") || !strings.Contains(string(text[:n]), "'shape': (2, 32)") || text[n-1] != '\n' {
		t.Errorf("a file of %d bytes that begins %q", len(text), text[:64])
	}
	got := make([]float32, 64)
	if err := safetensors.DecodeFloat(got, safetensors.F32, text[len(text)-256:]); err != nil {
		t.Fatal(err)
	}
	if apart(got[32:], alone) > 1e-6 || apart(got[:32], all[0].Embedding) > 1e-6 {
		t.Error("the rows are not text and image")
	}
}

func TestClipClassify(t *testing.T) {
	horse := filepath.Join(photos, "horse.png")
	args := []string{"classify", "--model", goldenClip, "--classes", "horse,cat, dog", "--json", "--top", "3", horse}
	code, out, errs := runClip(t, args...)
	if code != exitOK {
		t.Fatal(errs)
	}
	var found []prediction
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].File != horse || len(found[0].Classes) != 3 {
		t.Fatalf("found %+v", found)
	}
	// The same by hand: cosines with the prompts, times the scale.
	e, err := loadEmbedder(goldenClip, "", logger(&cobra.Command{}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	image := e.embedFile(t, horse)
	names := []string{"horse", "cat", "dog"}
	texts, err := e.embedTexts(t.Context(), []string{"a photo of a horse.", "a photo of a cat.", "a photo of a dog."})
	if err != nil {
		t.Fatal(err)
	}
	logits := make([]float32, 3)
	for i := range logits {
		for j, v := range image {
			logits[i] += v * texts[32*i+j] * float32(math.Exp(float64(e.LogitScale.Float32s()[0])))
		}
	}
	p := logSoftmax(logits)
	last := math.Inf(1)
	for _, c := range found[0].Classes {
		if want := math.Exp(p[c.Index]); c.Label != names[c.Index] || math.Abs(c.Probability-want) > 1e-5 || c.Probability > last {
			t.Errorf("%+v, want probability %g", c, want)
		}
		last = c.Probability
	}
	code, out, errs = runClip(t, "classify", "--model", goldenClip, "--classes-from", "-", "--template", "the {}", "--template", "a {}", "--top", "1", horse)
	if code != exitOK || !strings.Contains(out, "probability") || strings.Count(out, "\n") != 2 {
		t.Errorf("exit code %d, %q: %s", code, out, errs)
	}
}

func TestClipUsage(t *testing.T) {
	for _, tt := range []struct {
		want string
		code int
		args []string
	}{
		{"there are no classes", exitUsage, []string{"classify", "--model", goldenClip, "x.png"}},
		{`class "a" is named twice`, exitUsage, []string{"classify", "--model", goldenClip, "--classes", "a,b,a", "x.png"}},
		{"has no {}", exitUsage, []string{"classify", "--model", goldenClip, "--classes", "a", "--template", "b", "x.png"}},
		{"did you mean \"cifar\"", exitUsage, []string{"classify", "--model", goldenClip, "--classes", "a", "--templates", "cifer", "x.png"}},
		{"--top is 0", exitUsage, []string{"classify", "--model", goldenClip, "--classes", "a", "--top", "0", "x.png"}},
		{"--model is missing", exitUsage, []string{"classify", "--classes", "a", "x.png"}},
		{"at least 1 arg", exitUsage, []string{"classify", "--classes", "a"}},
		{"no such file", exitFailed, []string{"classify", "--model", goldenClip, "--classes", "a", "nowhere.png"}},
		{"names.txt", exitFailed, []string{"classify", "--model", goldenClip, "--classes-from", "names.txt", "x.png"}},
		{"nothing to embed", exitUsage, []string{"embed", "--model", goldenClip}},
		{"--model is missing", exitUsage, []string{"embed", "--text", "a"}},
		{"not a CLIP model", exitFailed, []string{"embed", "--model", goldenModel, "--text", "a"}},
		{"--to is missing", exitUsage, []string{"convert", goldenClip, "x"}},
		{"did you mean \"openai\"", exitUsage, []string{"convert", goldenClip, "x", "--to", "openia"}},
		{"accepts 2 arg", exitUsage, []string{"convert", goldenClip}},
	} {
		code, out, errs := runClip(t, tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.want) || out != "" && out != "[]\n" && tt.code == exitUsage {
			t.Errorf("%v: exit code %d and %q, want %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
}

// TestClipConvert converts the golden model there and back by the command, and
// embeds with the weights in between.
func TestClipConvert(t *testing.T) {
	there, back := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "back")
	for _, args := range [][]string{{"convert", goldenClip, there, "--to", clip.LayoutOpenAI}, {"convert", there, back, "--to", clip.LayoutHF}} {
		if code, _, errs := runClip(t, args...); code != exitOK {
			t.Fatal(errs)
		}
	}
	for _, name := range []string{"model.safetensors", "vocab.json", "preprocessor_config.json"} {
		want, err := os.ReadFile(filepath.Join(goldenClip, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(back, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s changed on the way there and back", name)
		}
	}
	_, want, _ := runClip(t, "embed", "--model", goldenClip, "--text", "a dog")
	code, got, errs := runClip(t, "embed", "--model", there, "--text", "a dog")
	if code != exitOK || got != want {
		t.Errorf("exit code %d: other embeddings after converting: %s", code, errs)
	}
}

func TestVerifyClip(t *testing.T) {
	found, err := verify(goldenClip, filepath.Join(goldenClip, "golden.safetensors"), 1e-4)
	if err != nil {
		t.Fatal(err)
	}
	grads := 0
	for _, d := range found {
		if strings.HasPrefix(d.Name, "grad.") {
			grads++
		}
		if !d.OK {
			t.Errorf("%s is off by %g (%s)", d.Name, d.Relative, d.Note)
		}
	}
	if grads != 78 || len(found) != 82 {
		t.Errorf("%d tensors, of them %d gradients; want 82 and 78", len(found), grads)
	}
}
