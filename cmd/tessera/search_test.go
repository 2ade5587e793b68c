package main

import (
	"bytes"
	"encoding/json"
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

	"github.com/spf13/cobra"

	"tessera/clip/search"
	"tessera/train/data"
)

// runSearch executes "search" with args and returns what it printed.
func runSearch(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	root := &cobra.Command{Use: "tessera", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newSearch())
	checkArgs(root)
	var out, errs bytes.Buffer
	root.SetArgs(append([]string{"search"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		errs.WriteString(err.Error())
	}
	return exitCode(err), out.String(), errs.String()
}

// mustSearch is runSearch where nothing may fail.
func mustSearch(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := runSearch(t, args...)
	if code != exitOK {
		t.Fatalf("search %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// drawShapes writes images of shapes, 0.png and so on, and gives their paths.
func drawShapes(t *testing.T, dir string, n int) (paths []string) {
	t.Helper()
	for i := range n {
		ex, err := data.Shapes{N: n, Size: 40, Seed: 5}.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.png", i))
		drawPNG(t, path, ex.Image.Std())
		paths = append(paths, path)
	}
	return paths
}

func drawPNG(t *testing.T, path string, im image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

// storedItems are the items of an index, with their vectors.
func storedItems(t *testing.T, path string) []search.Item {
	t.Helper()
	f, err := search.Open(path, search.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := allOf(t.Context(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, it := range all {
		ids = append(ids, it.ID)
	}
	items, err := f.Get(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// shop is an index of items with metadata.
func shop(t *testing.T) (index, dir string) {
	t.Helper()
	dir = t.TempDir()
	paths := drawShapes(t, dir, 4)
	index = filepath.Join(dir, "shop.tessera")
	for i, path := range paths {
		args := []string{"add", "--model", goldenClip, "--index", index, "--id", fmt.Sprint(i), "--image", path, "--meta", fmt.Sprintf("price=%d", 10*i), "--meta", "kind=shape", "--meta", `tags=["a","b"]`}
		if i > 1 {
			args = append(args, "--text", fmt.Sprintf("thing %d", i))
		}
		mustSearch(t, args...)
	}
	mustSearch(t, "add", "--model", goldenClip, "--index", index, "--id", "note", "--text", "only words")
	return index, dir
}

func hitsOf(t *testing.T, args ...string) (all []answer) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustSearch(t, append(args, "--json")...)), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(a answer) (ids []string) {
	for _, h := range a.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

func TestSearchQuery(t *testing.T) {
	index, dir := shop(t)
	query := []string{"query", "--model", goldenClip, "--index", index}
	with := func(args ...string) []string { return append(slices.Clone(query), args...) }

	one := hitsOf(t, with("--image", filepath.Join(dir, "2.png"), "--in", "image")...)
	if len(one) != 1 || len(one[0].Hits) != 4 || one[0].Hits[0].ID != "2" || math.Abs(*one[0].Hits[0].ImageCosine-1) > 1e-5 {
		t.Errorf("the image itself is not found first: %+v", one)
	}
	words := hitsOf(t, with("--text", "only words", "--in", "text", "--top", "2")...)
	if got := ids(words[0]); len(got) != 2 || got[0] != "note" {
		t.Errorf("the text itself is not found first: %v", got)
	}
	// To stay away from an image turns the order around.
	away := hitsOf(t, with("--minus-image", filepath.Join(dir, "2.png"), "--in", "image", "--fusion", "raw")...)
	near := hitsOf(t, with("--image", filepath.Join(dir, "2.png"), "--in", "image", "--fusion", "raw")...)
	if got, want := ids(away[0]), ids(near[0]); !slices.Equal(got, []string{want[3], want[2], want[1], want[0]}) {
		t.Errorf("away from an image %v, near to it %v", got, want)
	}
	// A weight that is far greater decides.
	mixed := hitsOf(t, with("--image", filepath.Join(dir, "1.png")+"^1000", "--image", filepath.Join(dir, "2.png"), "--in", "image")...)
	if got := ids(mixed[0]); got[0] != "1" {
		t.Errorf("the heavier image is not found first: %v", got)
	}
	for _, tt := range []struct {
		where []string
		want  string
	}{
		{[]string{"price<20"}, "0 1"},
		{[]string{"price>=10", "price!=20"}, "1 3"},
		{[]string{"tags=b", "price>25"}, "3"},
		{[]string{"kind"}, "0 1 2 3"},
		{[]string{"kind!=shape"}, "note"},
		{[]string{`price="10"`}, ""},
	} {
		args := with("--text", "thing")
		for _, w := range tt.where {
			args = append(args, "--where", w)
		}
		got := ids(hitsOf(t, args...)[0])
		slices.Sort(got)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("--where %q: %v, want %s", tt.where, got, tt.want)
		}
	}
	if got := hitsOf(t, with("--text", "thing", "--min-score", "2")...); len(got[0].Hits) != 0 || got[0].Hits == nil {
		t.Errorf("hits above a score that none has: %+v", got)
	}
	// Each its own, and on paper.
	sheet, page := filepath.Join(dir, "sheet.png"), filepath.Join(dir, "sheet.html")
	out := mustSearch(t, with("--each", "--text", "red <b>", "--image", filepath.Join(dir, "0.png"), "--png", sheet, "--html", page, "--thumbnail", "32", "--precision", "int8")...)
	if strings.Count(out, "rank") != 2 || !strings.Contains(out, "red <b>") || !strings.Contains(out, "thing 2") {
		t.Errorf("two queries print\n%s", out)
	}
	b, err := os.ReadFile(sheet)
	if err != nil {
		t.Fatal(err)
	}
	if im, err := png.Decode(bytes.NewReader(b)); err != nil || im.Bounds().Dx() < 6*32 || im.Bounds().Dy() < 2*32 {
		t.Errorf("a sheet of %v, error %v", im.Bounds(), err)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(html); strings.Contains(s, "<b>\"") || strings.Contains(s, "red <b>") || strings.Count(s, "data:image/") != 9 || strings.Contains(s, "http") {
		t.Errorf("a page of %d bytes with %d pictures", len(s), strings.Count(s, "data:image/"))
	}
}

func TestParseCondition(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want search.Condition
	}{
		{"price<10", search.Condition{Key: "price", Op: search.Less, Value: 10.}},
		{"price <= 1.5", search.Condition{Key: "price", Op: search.LessEqual, Value: 1.5}},
		{"a!=b=c", search.Condition{Key: "a", Op: search.NotEqual, Value: "b=c"}},
		{`a="10"`, search.Condition{Key: "a", Op: search.Equal, Value: "10"}},
		{"sold=true", search.Condition{Key: "sold", Op: search.Equal, Value: true}},
		{"a=", search.Condition{Key: "a", Op: search.Equal, Value: ""}},
		{"a>=null", search.Condition{Key: "a", Op: search.GreaterEqual, Value: "null"}},
		{"sold", search.Condition{Key: "sold", Op: search.Exists}},
	} {
		if got, err := parseCondition(tt.in); err != nil || got != tt.want {
			t.Errorf("%q gives %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "=1", "<3", "a!b"} {
		if got, err := parseCondition(bad); err == nil {
			t.Errorf("%q gives %+v, want an error", bad, got)
		}
	}
}

func TestWeighted(t *testing.T) {
	for _, tt := range []struct {
		in     string
		value  string
		weight float64
		fails  bool
	}{
		{"red shoe", "red shoe", 1, false},
		{"red shoe^0.5", "red shoe", 0.5, false},
		{"x^2^3", "x^2", 3, false},
		{"smile ^_^", "smile ^_^", 1, false},
		{"x^0", "", 0, true},
		{"x^-1", "", 0, true},
		{"x^Inf", "", 0, true},
	} {
		value, weight, err := weighted(tt.in)
		if (err != nil) != tt.fails || err == nil && (value != tt.value || weight != tt.weight) {
			t.Errorf("%q gives %q, %g, %v", tt.in, value, weight, err)
		}
	}
}

func TestSearchDelete(t *testing.T) {
	index, _ := shop(t)
	if out := mustSearch(t, "delete", "--index", index, "1", "none", "note"); !strings.Contains(out, "2 of 3 items removed") {
		t.Errorf("printed %q", out)
	}
	var left []string
	for _, it := range storedItems(t, index) {
		left = append(left, it.ID)
	}
	if !slices.Equal(left, []string{"0", "2", "3"}) {
		t.Errorf("left are %v", left)
	}
}

func TestThumbnail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.png")
	im := image.NewNRGBA(image.Rect(0, 0, 100, 50)) // transparent on the left
	for y := range 50 {
		for x := range 100 {
			im.Set(x, y, color.NRGBA{R: 200, A: uint8(255 * (x / 50))})
		}
	}
	drawPNG(t, path, im)
	got := thumbnail(path, 20)
	if got.Bounds() != image.Rect(0, 0, 20, 10) || got.NRGBAAt(2, 5) != (color.NRGBA{255, 255, 255, 255}) || got.NRGBAAt(17, 5) != (color.NRGBA{200, 0, 0, 255}) {
		t.Errorf("a thumbnail of %v with %v and %v", got.Bounds(), got.NRGBAAt(2, 5), got.NRGBAAt(17, 5))
	}
	if small := thumbnail(path, 200); small.Bounds() != image.Rect(0, 0, 100, 50) {
		t.Errorf("a small image is scaled to %v", small.Bounds())
	}
	if none := thumbnail(filepath.Join(t.TempDir(), "none.png"), 20); none != nil {
		t.Error("a thumbnail of a file that does not exist")
	}
}

func TestSearchUsage(t *testing.T) {
	index, dir := shop(t)
	model := []string{"--model", goldenClip}
	other := filepath.Join(dir, "other")
	if code, _, errs := runClip(t, append(brief, "--out", other)...); code != exitOK {
		t.Fatal(errs)
	}
	missing := filepath.Join(dir, "missing")
	write(t, filepath.Join(dir, "text"), []byte("hello"))
	for _, tt := range []struct {
		want string
		code int
		args []string
	}{
		{"at least 1 arg", exitUsage, []string{"index", "--index", index}},
		{"--model is missing", exitUsage, []string{"index", "--index", index, dir}},
		{"--index is missing", exitUsage, append([]string{"index", dir}, model...)},
		{"--near is 0", exitUsage, append([]string{"index", dir, "--index", index, "--near", "0"}, model...)},
		{"is no folder and no table", exitUsage, append([]string{"index", filepath.Join(dir, "text"), "--index", index}, model...)},
		{"no such file", exitFailed, append([]string{"index", missing, "--index", index}, model...)},
		{"want a folder, a table", exitUsage, append([]string{"index", "shapes:20", "--index", index}, model...)},
		{"holds vectors of model", exitFailed, []string{"query", "--model", other, "--index", index, "--text", "x"}},
		{"there is no such file", exitFailed, append([]string{"query", "--index", missing, "--text", "x"}, model...)},
		{"there is nothing to look for", exitUsage, append([]string{"query", "--index", index}, model...)},
		{"--text x^-1", exitUsage, append([]string{"query", "--index", index, "--text", "x^-1"}, model...)},
		{"--top is 0", exitUsage, append([]string{"query", "--index", index, "--text", "x", "--top", "0"}, model...)},
		{`did you mean "centred"`, exitUsage, append([]string{"query", "--index", index, "--text", "x", "--fusion", "centered"}, model...)},
		{`did you mean "image"`, exitUsage, append([]string{"query", "--index", index, "--text", "x", "--in", "images"}, model...)},
		{"--where <3", exitUsage, append([]string{"query", "--index", index, "--text", "x", "--where", "<3"}, model...)},
		{"truth values have no order", exitUsage, append([]string{"query", "--index", index, "--text", "x", "--where", "a<true"}, model...)},
		{"--thumbnail is 3", exitUsage, append([]string{"query", "--index", index, "--text", "x", "--thumbnail", "3"}, model...)},
		{`unknown precision "int4"`, exitUsage, append([]string{"query", "--index", index, "--text", "x", "--precision", "int4"}, model...)},
		{"missing", exitFailed, append([]string{"query", "--index", index, "--image", missing}, model...)},
		{"there is nothing to add", exitUsage, append([]string{"add", "--index", index}, model...)},
		{"--id is missing", exitUsage, append([]string{"add", "--index", index, "--text", "x"}, model...)},
		{"want KEY=VALUE", exitUsage, append([]string{"add", "--index", index, "--id", "x", "--text", "x", "--meta", "x"}, model...)},
		{"is given twice", exitUsage, append([]string{"add", "--index", index, "--id", "x", "--text", "x", "--meta", "x=1", "--meta", "x=2"}, model...)},
		{"there is no such file", exitFailed, []string{"delete", "--index", missing, "x"}},
		{"--near is 2", exitUsage, []string{"duplicates", "--index", index, "--near", "2"}},
		{"in files only", exitUsage, []string{"duplicates", "--index", "postgres://localhost/x"}},
		{"want weaviate://HOST:PORT", exitUsage, []string{"delete", "--index", "weaviate://localhost:1", "x"}},
		{`did you mean "weaviate://"`, exitUsage, []string{"delete", "--index", "weeviate://localhost:1/X", "x"}},
		{"unknown command", exitUsage, []string{"find"}},
		{"--queue is 0", exitUsage, append([]string{"serve", "--index", index, "--queue", "0"}, model...)},
		{"--grace is 0s", exitUsage, append([]string{"serve", "--index", index, "--grace", "0s"}, model...)},
		{"--token-file", exitFailed, append([]string{"serve", "--index", index, "--token-file", missing}, model...)},
		{"--addr", exitFailed, append([]string{"serve", "--index", missing, "--addr", "256.0.0.1:x"}, model...)},
		{"--data makes an index of its own", exitUsage, append([]string{"eval", "--index", index, "--data", "shapes"}, model...)},
		{"want shapes[:N]", exitUsage, append([]string{"eval", "--data", "cifar10:x"}, model...)},
		{"--queries is 0", exitUsage, []string{"eval", "--index", index, "--queries", "0"}},
		{"only one", exitUsage, []string{"eval", "--index", index, "--fusion", "raw,centred"}},
	} {
		code, _, errs := runSearch(t, tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit code %d and %q, want %d and %q", tt.args, code, errs, tt.code, tt.want)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a command that failed left an index")
	}
}
