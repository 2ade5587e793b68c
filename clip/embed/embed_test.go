package embed_test

import (
	"context"
	"encoding/json"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tessera/clip"
	"tessera/clip/embed"
	"tessera/clip/search"
	"tessera/train/data"
)

const (
	tiny   = "../../testdata/clip/tiny"
	photos = "../../testdata/preprocess"
)

var _ search.Embedder = (*embed.Model)(nil)

func open(t *testing.T, dir string) *embed.Model {
	t.Helper()
	m, err := embed.Open(dir, embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func shapes(t *testing.T, n int) []image.Image {
	t.Helper()
	var all []image.Image
	for i := range n {
		ex, err := data.Shapes{N: n, Size: 40, Seed: 2}.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ex.Image.Std())
	}
	return all
}

func near(a, b []float32) bool {
	return len(a) == len(b) && distance(a, b) < 1e-5
}

func distance(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		sum += (float64(v) - float64(b[i])) * (float64(v) - float64(b[i]))
	}
	return math.Sqrt(sum)
}

// Many at once are as each alone, in the order given, and of unit length.
func TestBatches(t *testing.T) {
	m := open(t, tiny)
	images := shapes(t, 21)
	rows, err := m.Images(t.Context(), images)
	if err != nil || len(rows) != 21 {
		t.Fatalf("%d rows, error %v", len(rows), err)
	}
	var texts []string
	for i := range 41 {
		texts = append(texts, strings.Repeat("red ", i%5)+"thing"+strings.Repeat(" green", i/5))
	}
	words, err := m.Texts(t.Context(), append(texts, strings.Repeat("long ", 500), ""))
	if err != nil || len(words) != 43 {
		t.Fatalf("%d rows, error %v", len(words), err)
	}
	zero := make([]float32, m.Dim())
	for i, row := range slices.Concat(rows, words) {
		if d := distance(row, zero); len(row) != m.Dim() || math.Abs(d-1) > 1e-5 {
			t.Errorf("row %d has %d values and length %g", i, len(row), d)
		}
	}
	// Many goroutines, each with its own.
	var wait sync.WaitGroup
	for i, im := range images {
		wait.Go(func() {
			alone, err := m.Images(t.Context(), []image.Image{im})
			if err != nil || !near(alone[0], rows[i]) {
				t.Errorf("image %d alone differs, error %v", i, err)
			}
		})
	}
	for i, text := range texts {
		wait.Go(func() {
			alone, err := m.Texts(t.Context(), []string{text})
			if err != nil || !near(alone[0], words[i]) {
				t.Errorf("text %q alone differs, error %v", text, err)
			}
		})
	}
	wait.Wait()
	if none, err := m.Images(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no images gave %v, %v", none, err)
	}
	if none, err := m.Texts(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no texts gave %v, %v", none, err)
	}
}

func TestCancelled(t *testing.T) {
	m := open(t, tiny)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := m.Texts(ctx, []string{"a"}); err == nil {
		t.Error("texts: no error")
	}
	if _, err := m.Images(ctx, shapes(t, 1)); err == nil {
		t.Error("images: no error")
	}
	if err := m.Files(ctx, []string{filepath.Join(photos, "horse.png")}, func(string, []float32) error { return nil }, nil); err == nil {
		t.Error("files: no error")
	}
}

func TestFiles(t *testing.T) {
	m := open(t, tiny)
	damaged := filepath.Join(t.TempDir(), "damaged.png")
	if err := os.WriteFile(damaged, []byte("\x89PNG"), 0o666); err != nil {
		t.Fatal(err)
	}
	horse := filepath.Join(photos, "horse.png")
	var files, got, bad []string
	for range 9 {
		files = append(files, horse, damaged)
	}
	im, err := data.DecodeFile(horse, 0)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Images(t.Context(), []image.Image{im.Std()})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Files(t.Context(), files, func(file string, row []float32) error {
		got = append(got, file)
		if !near(row, want[0]) {
			t.Errorf("file %d has another vector than the image", len(got))
		}
		return nil
	}, func(file string, err error) {
		bad = append(bad, file)
		if !strings.Contains(err.Error(), "damaged.png") {
			t.Errorf("error %q does not name the file", err)
		}
	})
	if err != nil || len(got) != 9 || len(bad) != 9 || slices.Contains(got, damaged) || slices.Contains(bad, horse) {
		t.Errorf("%d files and %d bad ones, error %v", len(got), len(bad), err)
	}
	if err := m.Files(t.Context(), files, func(string, []float32) error { return os.ErrClosed }, func(string, error) {}); err == nil {
		t.Error("an error of yield is lost")
	}
}

// edit copies the model and changes a file of it.
func edit(t *testing.T, name string, change func([]byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The hash tells models apart by all that vectors depend on, and by nothing else.
func TestModelHash(t *testing.T) {
	want := open(t, tiny).Model()
	if len(want) != 64 {
		t.Fatalf("hash %q", want)
	}
	// Another layout of the same model, of the same name for its parts.
	other := t.TempDir()
	if err := clip.Convert(tiny, other, clip.LayoutHF, clip.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"preprocessor_config.json", "vocab.json", "merges.txt", "tokenizer_config.json", "tokenizer.json"} {
		text, err := os.ReadFile(filepath.Join(tiny, name))
		if os.IsNotExist(err) {
			os.Remove(filepath.Join(other, name))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(other, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got := open(t, other).Model(); got != want {
		t.Errorf("a copy has hash %s, want %s", got, want)
	}
	setting := func(key string, value any) func([]byte) []byte {
		return func(text []byte) []byte {
			var object map[string]any
			if err := json.Unmarshal(text, &object); err != nil {
				t.Fatal(err)
			}
			object[key] = value
			out, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"preprocessor_config.json": setting("resample", 2),
		"merges.txt":               func(text []byte) []byte { return append(text, '\n') },
		"model.safetensors":        func(text []byte) []byte { text[len(text)-2] ^= 1; return text },
	} {
		if got := open(t, edit(t, name, change)).Model(); got == want {
			t.Errorf("another %s has the same hash", name)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	same := func(b []byte) []byte { return b }
	noTokens := edit(t, "config.json", same)
	for _, name := range []string{"vocab.json", "merges.txt", "tokenizer.json"} {
		os.Remove(filepath.Join(noTokens, name))
	}
	m := open(t, noTokens) // images do without
	if _, err := m.Images(t.Context(), shapes(t, 1)); err != nil {
		t.Error(err)
	}
	if _, err := m.Texts(t.Context(), []string{"a"}); err == nil || !strings.Contains(err.Error(), noTokens) {
		t.Errorf("without a tokenizer: error %v", err)
	}
	if _, err := embed.New(m.CLIP, m.Input, nil).Texts(t.Context(), []string{"a"}); err == nil {
		t.Error("made without a tokenizer: no error")
	}
	size := edit(t, "preprocessor_config.json", func([]byte) []byte {
		return []byte(`{"image_processor_type": "CLIPImageProcessor", "size": 64, "crop_size": 64}`)
	})
	if _, err := embed.Open(size, embed.Options{}); err == nil || !strings.Contains(err.Error(), "gives images of 64×64") {
		t.Errorf("another size: error %v", err)
	}
	// Without preprocessing it is CLIP's, and said to be.
	bare := edit(t, "config.json", same)
	if err := os.Remove(filepath.Join(bare, embed.PreprocessFile)); err != nil {
		t.Fatal(err)
	}
	var warned []string
	m, err := embed.Open(bare, embed.Options{Warn: func(s string) { warned = append(warned, s) }})
	if err != nil || len(warned) != 1 || m.Input.Resample != data.Bicubic {
		t.Errorf("without preprocessing: %+v, warned %q, error %v", m.Input, warned, err)
	}
}
