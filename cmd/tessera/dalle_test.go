package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/dalle"
	"tessera/train/data"
)

// tinyDALLE trains a model for some steps on drawn images and returns its folder.
func tinyDALLE(t *testing.T, tokens string, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	ok(t, append([]string{"dalle", "train", "--data", "shapes:64", "--vqvae", tokens, "--out", dir, "--batch", "16", "--steps", "4", "--width", "32", "--layers", "2"}, args...)...)
	return dir
}

// dimensions are those of a PNG file.
func dimensions(t *testing.T, path string) [2]int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := png.DecodeConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	return [2]int{c.Width, c.Height}
}

func TestDALLETrainAndGenerate(t *testing.T) {
	tokens := tinyVQVAE(t)
	dir := filepath.Join(t.TempDir(), "run")
	report := ok(t, "dalle", "train", "--data", "shapes:64", "--vqvae", tokens, "--out", dir, "--batch", "16", "--steps", "4",
		"--width", "32", "--layers", "2", "--positions", "axial", "--text-loss", "0.125", "--hold-out", "6")
	for _, want := range []string{"train NLL", "validation NLL", "test NLL", "texts", "64 of 32 codes", "tessera dalle generate --model " + dir} {
		if !strings.Contains(report, want) {
			t.Errorf("report lacks %q:\n%s", want, report)
		}
	}
	if err := os.RemoveAll(tokens); err != nil { // the run has its own
		t.Fatal(err)
	}
	tmp := t.TempDir()
	draw := func(out string, args ...string) string {
		return ok(t, append([]string{"dalle", "generate", "--model", dir, "--text", "a small red circle", "--out", filepath.Join(tmp, out)}, args...)...)
	}
	if out := draw("one.png", "--n", "3", "--top-k", "100", "--temperature", "0.9", "--guidance", "3", "--seed", "7", "--watch", filepath.Join(tmp, "watch")); !strings.Contains(out, "3 images, 192 tokens") {
		t.Errorf("report %q", out)
	}
	if got, want := dimensions(t, filepath.Join(tmp, "one.png")), [2]int{2*98 + 2, 2*98 + 2}; got != want {
		t.Errorf("%v pixels, want %v", got, want)
	}
	watched, err := os.ReadDir(filepath.Join(tmp, "watch"))
	if err != nil || len(watched) != 8 {
		t.Errorf("%d pictures of 8 rows of tokens, error %v", len(watched), err)
	}
	if !bytes.Equal(read(t, filepath.Join(tmp, "one.png")), read(t, filepath.Join(tmp, "watch", "row-008.png"))) {
		t.Error("the last picture is not the result")
	}
	draw("again.png", "--n", "3", "--top-k", "100", "--temperature", "0.9", "--guidance", "3", "--seed", "7")
	if !bytes.Equal(read(t, filepath.Join(tmp, "one.png")), read(t, filepath.Join(tmp, "again.png"))) {
		t.Error("one seed gives two pictures")
	}
	draw("rows.png", "--text", "a large blue star", "--n", "3", "--temperature", "0")
	if got, want := dimensions(t, filepath.Join(tmp, "rows.png")), [2]int{3*98 + 2, 2*98 + 2}; got != want {
		t.Errorf("%v pixels, want a row for each text, %v", got, want)
	}
	draw("folder", "--n", "2")
	if got := dimensions(t, filepath.Join(tmp, "folder", "000001.png")); got != [2]int{32, 32} {
		t.Errorf("%v pixels, want 32 by 32", got)
	}
	// The best of several are the first of all, in order.
	if out := draw("ranked", "--n", "5", "--rank", goldenClip); !strings.Contains(out, "of the best 5,") {
		t.Errorf("report %q", out)
	}
	if out := draw("best", "--n", "5", "--rank", goldenClip, "--best", "2"); !strings.Contains(out, "of the best 2,") || !strings.Contains(out, "5 images") {
		t.Errorf("report %q", out)
	}
	if files, err := os.ReadDir(filepath.Join(tmp, "best")); err != nil || len(files) != 2 {
		t.Errorf("%d images kept, error %v; want 2", len(files), err)
	}
	for _, f := range []string{"000000.png", "000001.png"} {
		if !bytes.Equal(read(t, filepath.Join(tmp, "best", f)), read(t, filepath.Join(tmp, "ranked", f))) {
			t.Errorf("%s is not as good as the best", f)
		}
	}
	// Pictures that begin with the upper rows of another have its tokens there.
	if out := draw("completed", "--n", "2", "--image", filepath.Join(tmp, "folder", "000000.png"), "--rows", "6"); !strings.Contains(out, "2 images, 32 tokens") {
		t.Errorf("report %q", out)
	}
	var f fidelity
	judge := tiny(t)
	text := ok(t, "dalle", "eval", "--model", dir, "--data", "shapes:300", "--hold-out", "6", "--judge", judge, "--n", "40", "--json")
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if f.Images != 30 || !(f.NLL > 0) || !(f.ShuffledNLL > 0) || f.NLL == f.ShuffledNLL || f.Split != "test" {
		t.Errorf("%+v", f)
	}
	j := f.Judged
	if j == nil || j.Held == nil || j.Drawn.Images+j.Held.Images != 40 || j.Held.Images < 2 || j.Reconstructed.Images != 30 || j.Judge != judge {
		t.Fatalf("judged %+v", j)
	}
	if out := ok(t, "dalle", "eval", "--model", dir, "--data", "shapes:300", "--images", "9", "--n", "2"); !strings.Contains(out, "with shuffled captions") || !strings.Contains(out, "(9 images)") || !strings.Contains(out, "of 2 images)") {
		t.Errorf("report %q", out)
	}
}

// TestDALLEResume interrupts a run and lets it go on; the model has the bytes of
// a run that was not interrupted.
func TestDALLEResume(t *testing.T) {
	tokens := tinyVQVAE(t)
	args := func(dir string) []string {
		return []string{"dalle", "train", "--data", "shapes:64", "--vqvae", tokens, "--out", dir, "--batch", "16", "--steps", "4",
			"--width", "32", "--layers", "1", "--dropout", "0.1", "--text-dropout", "0.3", "--save-every", "2"}
	}
	whole := filepath.Join(t.TempDir(), "whole")
	ok(t, args(whole)...)
	parts := filepath.Join(t.TempDir(), "parts")
	ctx, cancel := context.WithCancel(t.Context())
	stderr := &cancelAfter{cancel: cancel, n: 1}
	var out bytes.Buffer
	if code := run(ctx, args(parts), nil, &out, stderr); code != exitFailed || !strings.Contains(stderr.String(), "--resume") {
		t.Fatalf("interrupted run: exit code %d, message %q", code, stderr.String())
	}
	ok(t, "dalle", "train", "--out", parts, "--resume")
	for _, f := range []string{"model.safetensors", "config.json", "vocab.json", "vqvae/model.safetensors", "checkpoints/step-00000004/optim.safetensors"} {
		if !bytes.Equal(read(t, filepath.Join(whole, f)), read(t, filepath.Join(parts, f))) {
			t.Errorf("%s differs after a resumption", f)
		}
	}
}

// A tokenizer that is given is taken as it is.
func TestDALLEVocab(t *testing.T) {
	tokens := tinyVQVAE(t)
	dir := tinyDALLE(t, tokens, "--vocab-size", "520")
	other := tinyDALLE(t, tokens, "--vocab", dir, "--text-tokens", "9")
	for _, f := range []string{"vocab.json", "merges.txt", "words.json"} {
		if !bytes.Equal(read(t, filepath.Join(dir, f)), read(t, filepath.Join(other, f))) {
			t.Errorf("%s differs", f)
		}
	}
	var words []string
	if err := json.Unmarshal(read(t, filepath.Join(other, "words.json")), &words); err != nil || len(words) < 10 || len(words) > 60 {
		t.Fatalf("tokens that occur: %q, error %v", words, err)
	}
	c := string(read(t, filepath.Join(other, "config.json")))
	for _, want := range []string{fmt.Sprintf(`"text_vocab_size": %d,`, len(words)+1), fmt.Sprintf(`"pad_token_id": %d,`, len(words)), `"max_text_len": 9`} {
		if !strings.Contains(c, want) {
			t.Errorf("configuration lacks %s:\n%s", want, c)
		}
	}
	ok(t, "dalle", "generate", "--model", other, "--text", "a small red circle at the top left", "--out", filepath.Join(t.TempDir(), "x.png"))
}

func TestDALLEErrors(t *testing.T) {
	tokens := tinyVQVAE(t)
	dir := tinyDALLE(t, tokens, "--text-dropout", "0")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(other, "vqvae")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(other, "vqvae"), os.DirFS(tinyVQVAE(t, "--codes", "40"))); err != nil {
		t.Fatal(err)
	}
	generate := func(args ...string) []string {
		return append([]string{"generate", "--model", dir, "--text", "a star", "--out", filepath.Join(t.TempDir(), "x.png")}, args...)
	}
	train := func(args ...string) []string {
		return append([]string{"train", "--data", "shapes:64", "--vqvae", tokens, "--out", filepath.Join(t.TempDir(), "x"), "--steps", "1", "--batch", "16"}, args...)
	}
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--out is missing", []string{"train", "--data", "shapes"}},
		{exitUsage, "--data is missing", []string{"train", "--out", "x", "--vqvae", tokens}},
		{exitUsage, "--vqvae is missing", []string{"train", "--out", "x", "--data", "shapes"}},
		{exitUsage, "--heads is 5, want a divisor of --width", train("--heads", "5")},
		{exitUsage, `did you mean "axial"`, train("--positions", "axail")},
		{exitUsage, "--text-dropout is 1", train("--text-dropout", "1")},
		{exitUsage, "exceeds the 64 training images", train("--batch", "65")},
		{exitFailed, "cannot hold out 30", train("--hold-out", "30")},
		{exitFailed, "is not empty", train("--out", dir)},
		{exitFailed, "no checkpoint", []string{"train", "--out", dir + "none", "--resume"}},
		{exitUsage, "--model is missing", []string{"generate", "--text", "a", "--out", "x.png"}},
		{exitUsage, "--text is missing", []string{"generate", "--model", dir, "--out", "x.png"}},
		{exitUsage, "--out is missing", []string{"generate", "--model", dir, "--text", "a"}},
		{exitUsage, "--n is 0", generate("--n", "0")},
		{exitUsage, "top-p is 2", generate("--top-p", "2")},
		{exitUsage, "--guidance is -1", generate("--guidance", "-1")},
		{exitUsage, "--best is 9, want 1 to 8", generate("--best", "9", "--rank", goldenClip)},
		{exitUsage, "--best 2 needs --rank", generate("--best", "2")},
		{exitFailed, "missing", generate("--rank", "missing")},
		{exitUsage, "--rows is 3, want 1 or more rows of --image", generate("--rows", "3")},
		{exitUsage, "--rows is 8, want 1 to 7", generate("--rows", "8", "--image", "missing.png")},
		{exitFailed, "missing.png", generate("--image", "missing.png")},
		{exitFailed, "its VQ-VAE has 64 of 40", generate("--model", other)},
		{exitUsage, "--model is missing", []string{"eval", "--data", "shapes"}},
		{exitUsage, "--data is missing", []string{"eval", "--model", dir}},
		{exitUsage, "only shapes have pairs", []string{"eval", "--model", dir, "--data", classFolder(t, "cat", "dog"), "--hold-out", "3"}},
		{exitFailed, `"cat"`, []string{"eval", "--model", dir, "--data", classFolder(t, "cat", "dog"), "--judge", tiny(t)}},
		{exitFailed, "nothing to shuffle", []string{"eval", "--model", dir, "--data", classFolder(t, "cat"), "--val", "0.5"}},
	} {
		code, _, stderr := tessera(t, append([]string{"dalle"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stderr, tt.want) {
			t.Errorf("dalle %s: exit code %d, message %q; want %d and %q", strings.Join(tt.args, " "), code, stderr, tt.code, tt.want)
		}
	}
	// What is only doubtful is said and done.
	code, _, stderr := tessera(t, append([]string{"dalle"}, generate("--guidance", "2", "--n", "1", "--text", strings.Repeat("a large star ", 30), "--text", "a 7")...)...)
	for _, want := range []string{"without --text-dropout", "too long and was cut", "unknown=7</w>"} {
		if code != exitOK || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, message %q; want 0 and %q", code, stderr, want)
		}
	}
}

// Models that know no empty text are not guided unless that is asked for.
func TestGuidanceFitsModel(t *testing.T) {
	for _, tt := range []struct {
		dropout float64
		args    []string
		want    float64
		warns   bool
	}{
		{0.1, nil, 1.5, false},
		{0.1, []string{"--guidance", "3"}, 3, false},
		{0, nil, 1, false},
		{0, []string{"--guidance", "1"}, 1, false},
		{0, []string{"--guidance", "3"}, 3, true},
	} {
		var o drawing
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.bind(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		var warned bytes.Buffer
		m := &dalle.Model{Config: dalle.Config{TextDropout: tt.dropout}}
		o.fit(&painter{Model: m}, f, slog.New(slog.NewTextHandler(&warned, nil)))
		if o.guidance != tt.want || warned.Len() > 0 != tt.warns {
			t.Errorf("dropout %g, flags %q: guidance %g, warning %q; want %g, %t", tt.dropout, tt.args, o.guidance, warned.String(), tt.want, tt.warns)
		}
	}
}

func TestShuffled(t *testing.T) {
	images := []captioned{{text: "a"}, {text: "a"}, {text: "b"}, {text: "a"}, {text: "c"}}
	got, err := shuffled(images)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].text == images[i].text || got[i].text == "" {
			t.Errorf("image %d keeps its caption %q", i, got[i].text)
		}
	}
	if _, err := shuffled(images[:2]); err == nil {
		t.Error("one caption: no error")
	}
}

func TestInTurn(t *testing.T) {
	images := []captioned{{"a", 2, nil}, {"b", 0, nil}, {"c", 2, nil}, {"d", 5, nil}}
	var got strings.Builder
	for _, c := range inTurn(images, 8) {
		got.WriteString(c.text)
	}
	if got.String() != "badbcdba" {
		t.Errorf("order %s, want badbcdba", got.String())
	}
}

// Lists of tokens that do not belong to the tokenizer are errors.
func TestLoadWords(t *testing.T) {
	dir := tinyDALLE(t, tinyVQVAE(t))
	p, err := loadPainter(dir)
	if err != nil {
		t.Fatal(err)
	}
	if ids, unknown, cut := p.encode("a red 7"); len(ids) != 4 || len(unknown) != 1 || cut {
		t.Errorf("tokens %v without %q, cut %t; want start, two words, end", ids, unknown, cut)
	}
	for _, tt := range []struct{ text, want string }{
		{`["a</w>", "a</w>"]`, "there twice"},
		{`["nonsense</w>"]`, `no token "nonsense</w>"`},
		{`["a</w>"]`, "beside it are 1"},
		{`{`, "words.json"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "words.json"), []byte(tt.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := loadPainter(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.text, err, tt.want)
		}
	}
}

// Images that are measured are given their classes.
func TestShapesSeen(t *testing.T) {
	s := data.Shapes{N: 40, Size: 32, Seed: 5}
	var images []image.Image
	var want []int
	for i := range s.N {
		ex, err := s.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		images, want = append(images, ex.Image.Std()), append(want, ex.Label)
	}
	images, want = append(images, image.NewRGBA(image.Rect(0, 0, 9, 9))), append(want, -1)
	if got, err := shapesSeen()(images); err != nil || !slices.Equal(got, want) {
		t.Errorf("labels %v, error %v; want %v", got, err, want)
	}
}

// Images are ordered by the similarity that the model gives to each alone.
func TestRank(t *testing.T) {
	e, err := loadEmbedder(goldenClip, "", logger(&cobra.Command{}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var images []image.Image
	for i := range 9 {
		ex, err := data.Shapes{N: 9, Size: 32, Seed: 2}.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, ex.Image.Std())
	}
	order, err := e.rank(t.Context(), "red", images)
	if err != nil || len(order) != 9 {
		t.Fatalf("%d images, error %v", len(order), err)
	}
	for i, r := range order {
		alone, err := e.rank(t.Context(), "red", []image.Image{r.Image})
		if err != nil || math.Abs(float64(alone[0].similarity-r.similarity)) > 1e-5 {
			t.Errorf("image %d: similarity %g, alone %v, error %v", i, r.similarity, alone, err)
		}
		if i > 0 && r.similarity > order[i-1].similarity {
			t.Errorf("image %d is more similar than the one before: %g and %g", i, r.similarity, order[i-1].similarity)
		}
	}
	if order[0].similarity == order[8].similarity {
		t.Error("all images are alike")
	}
}

// Shapes are seen once, unless their number is given.
func TestShapesSeenOnce(t *testing.T) {
	for _, tt := range []struct {
		spec   string
		n      int
		epochs string
	}{{"shapes", 160_000, "1"}, {"shapes:500", 500, "8"}} {
		d, err := parseDataSpec(tt.spec)
		if err != nil {
			t.Fatal(err)
		}
		if n, epochs := d.once(160_000).n, d.suited(dalleDefaults)["epochs"]; n != tt.n || epochs != tt.epochs {
			t.Errorf("%s: %d images, %s epochs, want %d and %s", tt.spec, n, epochs, tt.n, tt.epochs)
		}
	}
}
