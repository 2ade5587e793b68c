package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/clip/embed"
	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/train"
	"tessera/train/data"
)

// emojiPackages makes packages of the named styles with n emoji of one color
// each.
func emojiPackages(t *testing.T, n int, styles ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var words []string
	for i := range n {
		code := fmt.Sprintf("1f6%02x", i)
		words = append(words, fmt.Sprintf(`{"label": "thing %c", "hexcode": %q, "tags": ["tag %d"]}`, 'a'+i, code, i))
		for s, style := range styles {
			im := image.NewNRGBA(image.Rect(0, 0, 8, 8))
			for p := range 64 {
				im.Set(p%8, p/8, color.NRGBA{uint8(20 * i), uint8(90 * s), uint8(4 * p), 255})
			}
			folder := filepath.Join(dir, "emoji-datasource-"+style, "img", style, "64")
			if err := os.MkdirAll(folder, 0o777); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(filepath.Join(folder, code+".png"))
			if err != nil {
				t.Fatal(err)
			}
			if err := png.Encode(f, im); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(t, filepath.Join(dir, "emojibase-data", "en", "data.json"), []byte("["+strings.Join(words, ",")+"]"))
	return dir
}

// TestClipBatches wants the batches of a run: of the right pairs, and with the
// loss that training begins with. The style held out is in none of them.
func TestClipBatches(t *testing.T) {
	const n, batch, steps = 6, 4, 6 // of 12 images, 3 steps an epoch
	dir, packages := t.TempDir(), emojiPackages(t, n, "apple", "google", "twitter")
	flags := []string{"--data", "emoji:" + packages + ":google", "--preset", "small32", "--vocabulary", "520", "--epochs", "2", "--batch", fmt.Sprint(batch), "--seed", "3"}
	out, run := filepath.Join(dir, "batches"), filepath.Join(dir, "run")
	if code, _, errs := runClip(t, append([]string{"batches", "--out", out}, flags...)...); code != exitOK {
		t.Fatal(errs)
	}
	code, report, errs := runClip(t, append([]string{"train", "--out", run}, flags...)...)
	if code != exitOK {
		t.Fatal(errs)
	}
	if !strings.Contains(report, "of 6, median rank") || !strings.Contains(report, "among 12 captions") {
		t.Errorf("the test is not of 6 images with 12 captions:\n%s", report)
	}

	f, err := safetensors.Open(filepath.Join(out, batchesFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.Metadata(); got["lr"] != "0.002" || got["seed"] != "3" || got["epochs"] != "2" {
		t.Errorf("metadata %v are not the flags", got)
	}
	ints := func(name string, shape ...int) []int64 {
		t.Helper()
		x, err := f.Int64(name)
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := f.Info(name); !slices.Equal(info.Shape, shape) {
			t.Fatalf("%s has shape %v, want %v", name, info.Shape, shape)
		}
		return x
	}
	floats := func(name string) []float32 {
		t.Helper()
		x, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	m, err := clip.Load(out, clip.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := bpe.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	styles, err := data.OpenEmoji(packages)
	if err != nil {
		t.Fatal(err)
	}
	training, test := data.JoinCaptions(styles[0].Captions, styles[2].Captions), styles[1].Captions
	input := embed.Preprocess(clip.VisionConfig{Channels: 3, ImageSize: 32})
	const size = 3 * 32 * 32
	// drawn tells whether rows are the images of a part, in order.
	drawn := func(name string, part *data.Captions) []float32 {
		t.Helper()
		rows := floats(name)
		if len(rows) != part.Len()*size {
			t.Fatalf("%s are %d numbers", name, len(rows))
		}
		want := make([]float32, size)
		for i := range part.Len() {
			ex, err := part.Example(i)
			if err != nil {
				t.Fatal(err)
			}
			im, err := input.Apply(ex.Image)
			if err != nil {
				t.Fatal(err)
			}
			if err := input.Normalize(want, im); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(rows[i*size:][:size], want) {
				t.Errorf("%s: row %d is another image", name, i)
			}
		}
		return rows
	}
	images := drawn("images", training)
	drawn("test.images", test)

	info, _ := f.Info("texts")
	L := info.Shape[1]
	texts, ends := ints("texts", info.Shape[0], L), ints("ends", info.Shape[0])
	says := func(row int64, ids, ends []int64, L int, captions []string) bool {
		return slices.ContainsFunc(captions, func(c string) bool {
			want := tokens.Encode(c)
			return slices.EqualFunc(ids[int(row)*L:][:ends[row]+1], want, func(a int64, b int) bool { return int(a) == b })
		})
	}
	image, text, label := ints("image", steps, batch), ints("text", steps, batch), ints("label", steps, batch)
	for epoch := range 2 {
		seen := slices.Clone(image[epoch*12:][:12])
		slices.Sort(seen)
		if !slices.Equal(seen, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) {
			t.Errorf("epoch %d has the images %v", epoch, seen)
		}
	}
	for i := range image {
		if !says(text[i], texts, ends, L, training.Captions(int(image[i]))) {
			t.Errorf("step %d: text %d is no caption of image %d", i/batch, text[i], image[i])
		}
		for j := i / batch * batch; j < i; j++ {
			if (text[i] == text[j]) != (label[i] == label[j]) {
				t.Errorf("texts %d and %d have labels %d and %d", text[i], text[j], label[i], label[j])
			}
		}
	}
	info, _ = f.Info("test.texts")
	of, said := ints("test.image", 2*n), ints("test.text", 2*n)
	testTexts, testEnds := ints("test.texts", 2*n, info.Shape[1]), ints("test.ends", 2*n)
	for i := range of {
		if int(of[i]) != i/2 || !says(said[i], testTexts, testEnds, info.Shape[1], test.Captions(i/2)) {
			t.Errorf("pair %d is image %d with text %d", i, of[i], said[i])
		}
	}

	first := graph.Values{}
	add := func(name string, of func(row int) []float32, shape ...int) {
		var x []float32
		for row := range batch {
			x = append(x, of(row)...)
		}
		first[name] = tensor.New(tensor.WithShape(append([]int{batch}, shape...)...), tensor.WithBacking(x))
	}
	add("image", func(row int) []float32 { return images[image[row]*size:][:size] }, 3, 32, 32)
	add("ids", func(row int) (ids []float32) {
		for _, id := range texts[int(text[row])*L:][:L] {
			ids = append(ids, float32(id))
		}
		return ids
	}, L)
	add("ends", func(row int) []float32 { return []float32{float32(ends[text[row]])} })
	add("label", func(row int) []float32 { return []float32{float32(label[row])} })
	prog, err := graph.Compile(func(b *graph.Builder) {
		train.Objective(clip.Objective{Model: m, Length: L, Labels: true})(b, batch)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	if err := prog.Run(first); err != nil {
		t.Fatal(err)
	}
	records, err := train.ReadMetrics(filepath.Join(run, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := prog.Scalar("loss"), records[0].Loss; math.Abs(got-want) > 1e-6 || len(records) != steps {
		t.Errorf("the first of %d losses is %g, the run has %g in %d steps", steps, got, want, len(records))
	}
}

func TestClipBatchesUsage(t *testing.T) {
	packages, full := emojiPackages(t, 3, "apple"), t.TempDir()
	write(t, filepath.Join(full, "x"), nil)
	empty := filepath.Join(t.TempDir(), "new")
	for _, tt := range []struct {
		want string
		code int
		args []string
	}{
		{"--resume is for training", exitUsage, []string{"--data", "shapes", "--out", empty, "--resume"}},
		{"is not empty", exitFailed, []string{"--data", "shapes", "--out", full}},
		{"say how many", exitUsage, []string{"--data", "shapes", "--out", empty}},
		{"--data is missing", exitUsage, []string{"--out", empty}},
		{"unknown style", exitUsage, []string{"--data", "emoji:" + packages + ":appel", "--out", empty}},
		{"the only style", exitUsage, []string{"--data", "emoji:" + packages + ":apple", "--out", empty}},
	} {
		code, _, errs := runClip(t, append([]string{"batches"}, tt.args...)...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit code %d and %q, want %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
}
