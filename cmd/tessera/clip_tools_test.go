package main

import (
	"encoding/json"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/train/data"
)

// captionTable writes n drawn shapes with a table of their captions, two for each
// and one a line.
func captionTable(t *testing.T, n int) (table string) {
	t.Helper()
	dir := t.TempDir()
	s := data.Shapes{N: n, Size: 32, Seed: 5}
	text := "image,caption\n"
	for i := range n {
		ex, err := s.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		name := "shape" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + ".png"
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, ex.Image.Std()); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		text += name + "," + ex.Caption + "\n" + name + ",there is " + ex.Caption + "\n"
	}
	table = filepath.Join(dir, "captions.csv")
	write(t, table, []byte(text))
	return table
}

// TestClipPairs trains on images with captions of their own, and measures.
func TestClipPairs(t *testing.T) {
	table, run := captionTable(t, 60), filepath.Join(t.TempDir(), "run")
	code, out, errs := runClip(t, "train", "--data", "captions:"+table, "--preset", "small32", "--vocabulary", "560",
		"--epochs", "2", "--batch", "20", "--val", "0.25", "--out", run)
	if code != exitOK {
		t.Fatal(errs)
	}
	for _, want := range []string{"validation image to text", "of 15, median rank", "among 15 images", "steps"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the report:\n%s", want, out)
		}
	}
	if strings.Contains(out, "zero-shot") {
		t.Errorf("pairs have no classes:\n%s", out)
	}
	for _, tt := range []struct {
		args   []string
		images int
		split  string
	}{{[]string{"--val", "0.25"}, 15, "val"}, {nil, 6, "val"}, {[]string{"--split", "train"}, 54, "train"}, {[]string{"--split", "all"}, 60, "all"}} {
		code, out, errs := runClip(t, append([]string{"eval", "--model", run, "--data", "captions:" + table, "--json"}, tt.args...)...)
		if code != exitOK {
			t.Fatal(errs)
		}
		var s clipScore
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		if s.Images != tt.images || s.Split != tt.split || s.Accuracy != nil || s.ToText == nil || s.ToText.Queries != tt.images || s.ToImage.Queries != s.Texts || s.Texts < tt.images {
			t.Errorf("%v: %s", tt.args, out)
		}
		if r := s.ToText; !(r.At1 <= r.At5 && r.At5 <= r.At10 && r.Median >= 1 && r.Median <= s.Texts) {
			t.Errorf("%v: recall %+v", tt.args, r)
		}
	}
}

func TestClipEval(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	code, _, errs := runClip(t, append(brief, "--out", run)...)
	if code != exitOK {
		t.Fatal(errs)
	}
	code, out, errs := runClip(t, "eval", "--model", run, "--data", "shapes:400")
	if code != exitOK {
		t.Fatal(errs)
	}
	for _, want := range []string{"most often taken for", "test zero-shot accuracy", "of 40 images, 30 classes)", "test text to image", "among the first 5"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the report:\n%s", want, out)
		}
	}
	// Folders of classes, with spaces for underscores or other names.
	dir := t.TempDir()
	table := captionTable(t, 4)
	for i, name := range []string{"red_circle/1.png", "red_circle/2.png", "blue_square/1.png", "green_star/1.png"} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join(filepath.Dir(table), "shapea"+string(rune('a'+i))+".png")))
	}
	for _, args := range [][]string{nil, {"--template", "a {}", "--classes-from", "-"}, {"--templates", "cifar"}} {
		code, out, errs = runClip(t, append([]string{"eval", "--model", run, "--data", "folder:" + dir, "--split", "train", "--val", "0"}, args...)...)
		names := []string{"blue square", "green star", "red circle"}
		if len(args) == 4 {
			if code != exitFailed || !strings.Contains(errs, "has 2 names for 3 classes") {
				t.Errorf("exit code %d: %s", code, errs)
			}
			continue
		}
		if code != exitOK || !strings.Contains(out, "of 4 images, 3 classes)") || slices.ContainsFunc(names, func(n string) bool { return !strings.Contains(out, n) }) {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errs)
		}
	}
}

func TestClipRetrieve(t *testing.T) {
	code, out, errs := runClip(t, "retrieve", "--model", goldenClip, "--image", filepath.Join(photos, "horse.png"), "--text", "a horse", "--top", "3", "--json", photos)
	if code != exitOK {
		t.Fatal(errs)
	}
	var lists []retrieved
	if err := json.Unmarshal([]byte(out), &lists); err != nil {
		t.Fatal(err)
	}
	if len(lists) != 2 || lists[0].Text != "a horse" || filepath.Base(lists[1].Image) != "horse.png" {
		t.Fatalf("lists %+v", lists)
	}
	self := slices.IndexFunc(lists[1].Files, func(m match) bool { return filepath.Base(m.File) == "horse.png" })
	if self < 0 || math.Abs(lists[1].Files[self].Cosine-1) > 1e-5 {
		t.Errorf("closest to the horse are %+v, want the horse itself", lists[1].Files)
	}
	for _, l := range lists {
		if len(l.Files) != 3 || !slices.IsSortedFunc(l.Files, func(a, b match) int {
			if a.Cosine < b.Cosine {
				return 1
			}
			return 0
		}) {
			t.Errorf("files %+v", l.Files)
		}
	}
	// The cosines are those of the embeddings.
	_, lines, _ := runClip(t, "embed", "--model", goldenClip, "--text", "a horse", "--image", lists[0].Files[0].File)
	rows := embeddings(t, lines)
	if want := cosine(rows[0].Embedding, rows[1].Embedding); math.Abs(want-lists[0].Files[0].Cosine) > 1e-5 {
		t.Errorf("cosine %g, want %g", lists[0].Files[0].Cosine, want)
	}
	code, out, errs = runClip(t, "retrieve", "--model", goldenClip, "--text", "a horse", photos, "nowhere.png")
	if code != exitFailed || !strings.HasPrefix(out, "rank  cosine") || strings.Count(out, "\n") != 11 || !strings.Contains(errs, "1 of the files") {
		t.Errorf("exit code %d, %q: %s", code, out, errs)
	}
}

func TestClipHeatmap(t *testing.T) {
	out := filepath.Join(t.TempDir(), "heat.png")
	for n, width := range map[int]int{1: 1088, 2: 1236} {
		args := []string{"heatmap", filepath.Join(photos, "horse.png"), "--model", goldenClip, "-o", out}
		for range n {
			args = append(args, "--text", "a horse")
		}
		code, printed, errs := runClip(t, args...)
		if code != exitOK || strings.Count(printed, "has cosine") != n {
			t.Fatalf("exit code %d, %q: %s", code, printed, errs)
		}
		f, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		im, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if im.Bounds().Dx() != width {
			t.Errorf("%d texts: a picture of %v, want a width of %d", n, im.Bounds(), width)
		}
	}
}

func TestClipToolsUsage(t *testing.T) {
	one := captionTable(t, 3)
	for _, tt := range []struct {
		want string
		code int
		args []string
	}{
		{"--data is missing", exitUsage, []string{"eval", "--model", goldenClip}},
		{"--model is missing", exitUsage, []string{"eval", "--data", "shapes"}},
		{`did you mean "captions"`, exitUsage, []string{"eval", "--model", goldenClip, "--data", "caption:x"}},
		{"--data coco:: want one of", exitUsage, []string{"eval", "--model", goldenClip, "--data", "coco:"}},
		{"nowhere.csv", exitFailed, []string{"eval", "--model", goldenClip, "--data", "captions:nowhere.csv"}},
		{"nowhere.json", exitFailed, []string{"eval", "--model", goldenClip, "--data", "coco:nowhere.json"}},
		{"nowhere", exitFailed, []string{"eval", "--model", goldenClip, "--data", "pairs:nowhere"}},
		{"nowhere.tar", exitFailed, []string{"eval", "--model", goldenClip, "--data", "webdataset:nowhere.tar"}},
		{"nothing names the emoji", exitFailed, []string{"eval", "--model", goldenClip, "--data", "emoji:nowhere"}},
		{"has captions of its own", exitUsage, []string{"eval", "--model", goldenClip, "--data", "captions:" + one, "--template", "a {}"}},
		{"--split all", exitUsage, []string{"eval", "--model", goldenClip, "--data", "shapes", "--split", "all"}},
		{"--val is 2", exitUsage, []string{"eval", "--model", goldenClip, "--data", "captions:" + one, "--val", "2"}},
		{"--batch is 0", exitUsage, []string{"eval", "--model", goldenClip, "--data", "shapes", "--batch", "0"}},
		{"nothing to look for", exitUsage, []string{"retrieve", "--model", goldenClip, photos}},
		{"--top is 0", exitUsage, []string{"retrieve", "--model", goldenClip, "--text", "a", "--top", "0", photos}},
		{"nowhere.png", exitFailed, []string{"retrieve", "--model", goldenClip, "--image", "nowhere.png", photos}},
		{"--text is missing", exitUsage, []string{"heatmap", "x.png", "--model", goldenClip, "-o", "y.png"}},
		{"--out is missing", exitUsage, []string{"heatmap", "x.png", "--model", goldenClip, "--text", "a"}},
		{"x.png", exitFailed, []string{"heatmap", "x.png", "--model", goldenClip, "--text", "a", "-o", "y.png"}},
	} {
		code, _, errs := runClip(t, tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit code %d and %q, want %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
}

func TestEmojiSpec(t *testing.T) {
	dir := t.TempDir()
	pixel := read(t, filepath.Join(photos, "tiny.png"))
	write(t, filepath.Join(dir, "p", "emoji.json"), []byte(`[{"name": "RUNNER", "unified": "1F3C3"}, {"name": "CAT", "unified": "1F408"}]`))
	for _, style := range []string{"a", "b"} {
		for _, code := range []string{"1f3c3", "1f408"} {
			write(t, filepath.Join(dir, "p", "img", style, "64", code+".png"), pixel)
		}
	}
	d, err := parseClipSpec("emoji:" + dir + ":b")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.open(32, -1, 1)
	if err != nil || s.train.Len() != 2 || s.test.Len() != 2 || s.val != nil {
		t.Errorf("parts %+v, error %v", s, err)
	}
	if d, err = parseClipSpec("emoji:" + dir); err != nil {
		t.Fatal(err)
	}
	if s, err := d.open(32, 0.25, 1); err != nil || s.train.Len() != 3 || s.val.Len() != 1 || s.test != nil {
		t.Errorf("parts %+v, error %v", s, err)
	}
	if d, err = parseClipSpec("emoji:" + dir + ":c"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.open(32, -1, 1); err == nil || !strings.Contains(err.Error(), `unknown style "c"`) {
		t.Errorf("error %v", err)
	}
}
