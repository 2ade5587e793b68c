package data

import (
	"archive/tar"
	"bytes"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stored writes files below a new folder: a name that ends with .png is given an
// image as wide as its content has bytes.
func stored(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		content := []byte(text)
		if strings.HasSuffix(name, ".png") {
			content = pngBytes(t, max(1, len(text)))
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pngBytes is an image of w×1 pixels.
func pngBytes(t *testing.T, w int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, NewImage(w, 1, 3).Std()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// said lists a data set as "width: caption | caption".
func said(t *testing.T, c *Captions) []string {
	t.Helper()
	var lines []string
	for i := range c.Len() {
		ex, err := c.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		texts := c.Captions(i)
		if ex.Caption != texts[0] || ex.Label != -1 || ex.Name == "" {
			t.Errorf("example %d is %+v", i, ex)
		}
		lines = append(lines, fmt.Sprintf("%d: %s", ex.Image.W, strings.Join(texts, " | ")))
	}
	return lines
}

var oneImage = map[string]string{"a.png": "1"}

func with(files map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		out[name] = text
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func TestOpenCaptions(t *testing.T) {
	images := map[string]string{"a.png": "1", "in/b.png": "22", "c d.png": "333"}
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"CSV", "x.csv", "filepath,id,Title\na.png,1,a cat\nin/b.png,2,\"two,\n  words\"\na.png,3,one cat\na.png,4,a cat\n", []string{"1: a cat | one cat", "2: two, words"}},
		{"a mark and line ends of Windows", "x.CSV", bom + "caption,image\r\na cat,c d.png\r\n", []string{"3: a cat"}},
		{"TSV with a bare quote", "x.tsv", "image\ttext\na.png\ta 5\" disk\n", []string{"1: a 5\" disk"}},
		{"JSON lines", "x.jsonl", "{\"image\": \"a.png\", \"captions\": [\"a cat\", \"one\"]}\n\n{\"file_name\": \"in/b.png\", \"text\": \"ä\"}", []string{"1: a cat | one", "2: ä"}},
	} {
		dir := stored(t, with(images, tt.file, tt.text))
		c, err := OpenCaptions(filepath.Join(dir, tt.file))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := said(t, c); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, tt := range []struct{ file, text, want string }{
		{"x.csv", "", "the file is empty"},
		{"x.csv", "image,caption\n", "there are no captions"},
		{"x.csv", "image,label\na.png,x\n", `columns are ["image" "label"], want one of caption`},
		{"x.csv", "image,path,text\na.png,a.png,x\n", `columns "image" and "path" both fit`},
		{"x.csv", "image,text\na.png,x\nb.png,x\nc.png,x\n", "2 of the 3 images do not exist, the first is"},
		{"x.csv", "image,text\na.png,x\na.png, \n", "line 3"},
		{"x.csv", "image,text\n,x\n", "line 2: the path of the image is empty"},
		{"x.csv", "image,text\na.png,\xff\n", "is not UTF-8"},
		{"x.csv", "image,text\na.png\n", "line 2: wrong number of fields"},
		{"x.csv", "image,text\na.png,a 5\" disk\n", "line 2"},
		{"x.jsonl", "{\"image\": \"a.png\"}", "line 1: the columns are"},
		{"x.jsonl", "{\"image\": 1, \"text\": \"x\"}", `line 1: key "image"`},
		{"x.jsonl", "\n{\"image\": \"a.png\", \"text\": []}", "line 2: caption is [], want a string or a list"},
		{"x.jsonl", "{", "line 1"},
		{"x.parquet", "", `ends with .csv, .tsv or .jsonl, not ".parquet"`},
	} {
		dir := stored(t, with(oneImage, tt.file, tt.text))
		_, err := OpenCaptions(filepath.Join(dir, tt.file))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file) {
			t.Errorf("%q: error %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestCaptionsExampleErrors(t *testing.T) {
	dir := stored(t, with(oneImage, "bad.jpg", "no image", "x.csv", "image,text\na.png,x\nbad.jpg,y\n"))
	c, err := OpenCaptions(filepath.Join(dir, "x.csv"))
	if err != nil {
		t.Fatal(err)
	}
	ex, err := c.Example(1)
	if err == nil || !strings.Contains(err.Error(), "bad.jpg") || filepath.Base(ex.Name) != "bad.jpg" {
		t.Errorf("example %+v, error %v", ex, err)
	}
	if err := os.Remove(filepath.Join(dir, "a.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Example(0); err == nil || !strings.Contains(err.Error(), "a.png") {
		t.Errorf("a removed file: error %v", err)
	}
}

func TestCaptionsSplit(t *testing.T) {
	c := &Captions{}
	for i := range 50 {
		c.items = append(c.items, captioned{name: fmt.Sprint(i), texts: []string{"x"}})
	}
	for _, tt := range []struct {
		fraction   float64
		train, val int
	}{{0, 50, 0}, {1, 0, 50}, {0.1, 45, 5}, {0.001, 49, 1}, {0.999, 1, 49}} {
		train, val, err := c.Split(tt.fraction)
		if err != nil || train.Len() != tt.train || val.Len() != tt.val {
			t.Errorf("split by %g: %d and %d, error %v; want %d and %d", tt.fraction, train.Len(), val.Len(), err, tt.train, tt.val)
			continue
		}
		seen := map[string]bool{}
		for _, x := range slices.Concat(train.items, val.items) {
			seen[x.name] = true
		}
		if len(seen) != 50 {
			t.Errorf("split by %g: %d different images, want all 50", tt.fraction, len(seen))
		}
	}
	for _, bad := range []float64{-0.1, 1.1} {
		if _, _, err := c.Split(bad); err == nil {
			t.Errorf("split by %g: no error", bad)
		}
	}
}

func TestOpenCaptionFolder(t *testing.T) {
	dir := stored(t, map[string]string{
		"b.png": "22", "b.txt": bom + "a dog\r\n\n  one   dog \n", "in/a.png": "1", "in/a.TXT": "a cat",
		".hidden.png": "1", "notes.md": "x",
	})
	c, err := OpenCaptionFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := said(t, c), []string{"2: a dog | one dog", "1: a cat"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, tt := range []struct {
		want  string
		files map[string]string
	}{
		{"holds no images", map[string]string{"a.txt": "x"}},
		{"a.png has no text beside it", oneImage},
		{"b.txt has no image beside it", with(oneImage, "a.txt", "x", "b.txt", "y")},
		{"a.txt holds no caption", with(oneImage, "a.txt", " \n\t\n")},
		{"a.txt: ", with(oneImage, "a.txt", "\xff\xfe")},
		{"would share one text", with(oneImage, "a.jpg", "", "a.txt", "x")},
		{"a.txt is longer than", with(oneImage, "a.txt", strings.Repeat("x", maxText+1))},
	} {
		if _, err := OpenCaptionFolder(stored(t, tt.files)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
	if _, err := OpenCaptionFolder(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a missing folder: no error")
	}
}

const coco = `{"images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}, {"id": 9, "file_name": "c.png"}],
"annotations": [{"image_id": 8, "caption": "a dog"}, {"image_id": 7, "caption": "a cat\n"}, {"image_id": 8, "caption": "one dog"}]}`

func TestOpenCOCO(t *testing.T) {
	for _, place := range []string{"annotations/", "annotations/images/", "val/", "images/"} {
		dir := stored(t, map[string]string{"annotations/captions_val.json": coco, place + "a.png": "1", place + "b.png": "22"})
		c, err := OpenCOCO(filepath.Join(dir, "annotations", "captions_val.json"))
		if err != nil {
			t.Errorf("images in %s: %v", place, err)
			continue
		}
		if got, want := said(t, c), []string{"2: a dog | one dog", "1: a cat"}; !slices.Equal(got, want) {
			t.Errorf("images in %s: %q, want %q", place, got, want)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"", "unexpected end"},
		{"{}", "there are no captions"},
		{coco, "image b.png is in none of"},
		{`{"images": [{"id": 7}]}`, "images[0] lacks id or file_name"},
		{`{"images": [{"id": 7, "file_name": "a.png"}, {"id": 7, "file_name": "b.png"}]}`, "images[1]: id 7"},
		{`{"images": [{"id": 7, "file_name": "a.png"}], "annotations": [{"image_id": 8, "caption": "x"}]}`, "annotations[0] is of image 8"},
		{`{"images": [{"id": 7, "file_name": "a.png"}], "annotations": [{"image_id": 7, "bbox": []}]}`, "annotations[0] has no caption"},
		{`{"images": [{"id": 7, "file_name": "a.png"}], "annotations": [{"image_id": 7, "caption": ""}]}`, "the caption is empty"},
	} {
		dir := stored(t, with(oneImage, "captions_x.json", tt.text))
		if _, err := OpenCOCO(filepath.Join(dir, "captions_x.json")); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "captions_x.json") {
			t.Errorf("%.60q: error %v, want %q", tt.text, err, tt.want)
		}
	}
}

// tarBytes packs members, "name" and content in turn.
func tarBytes(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		h := &tar.Header{Name: members[i], Mode: 0o666, Size: int64(len(members[i+1]))}
		if strings.HasSuffix(members[i], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpenWebDataset(t *testing.T) {
	image := func(w int) string { return string(pngBytes(t, w)) }
	dir := t.TempDir()
	for name, text := range map[string][]byte{
		"s-08.tar": tarBytes(t, "d/", "", "d/1.png", image(1), "d/1.txt", "a cat\none cat\n", "d/1.json", `{"caption": "other"}`, "d/2.cls", "7", "d/2.json", `{"caption": "a dog", "x": 1}`, "d/2.seg.png", "", "d/2.png", image(2)),
		"s-09.tar": tarBytes(t, ".hidden", "", "1.v2.json", "no JSON, but no .json either", "1.txt", "a bird", "1.PNG", image(3)),
		"s-10.tar": tarBytes(t, strings.Repeat("long", 60)+".png", image(4), strings.Repeat("long", 60)+".txt", "a long name"),
		"notes":    nil,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"1: a cat | one cat", "2: a dog", "3: a bird", "4: a long name"}
	for pattern, want := range map[string][]string{
		dir: all, filepath.Join(dir, "s-{08..10}.tar"): all, filepath.Join(dir, "s-{10,09}.tar"): {all[3], all[2]},
		filepath.Join(dir, "s-09.tar"): all[2:3],
	} {
		c, err := OpenWebDataset(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := said(t, c); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	if _, err := OpenWebDataset(filepath.Join(dir, "s-{08..11}.tar")); err == nil || !strings.Contains(err.Error(), "s-11.tar") {
		t.Errorf("a missing shard: error %v", err)
	}
	if _, err := OpenWebDataset(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no .tar") {
		t.Errorf("an empty folder: error %v", err)
	}
	good := tarBytes(t, "1.png", image(1), "1.txt", "x")
	link := func() []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "1.png", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return b.Bytes()
	}
	for want, text := range map[string][]byte{
		"there are no samples":                            tarBytes(t),
		"sample 1 has no image":                           tarBytes(t, "1.txt", "x"),
		"sample 1 has no caption, want a .txt":            tarBytes(t, "1.png", image(1), "1.json", "{}", "2.png", ""),
		"sample 1 occurs twice":                           tarBytes(t, "1.png", "a", "1.txt", "x", "2.png", "b", "2.txt", "x", "1.png", "a", "1.txt", "x"),
		"member 1.jpg: sample 1 has another image, 1.png": tarBytes(t, "1.png", image(1), "1.jpg", "x"),
		"member 1.png: the image is empty":                tarBytes(t, "1.png", ""),
		"member 1.json: ":                                 tarBytes(t, "1.json", "{"),
		"is not UTF-8":                                    tarBytes(t, "1.png", "a", "1.txt", "\xff"),
		"too many for the captions":                       tarBytes(t, "1.txt", strings.Repeat("x", maxText+1)),
		"not a tar file":                                  []byte(strings.Repeat("x", 600)),
		"ends beyond the file":                            good[:520],
		"damaged":                                         good[:1024+300],
		"is not a plain file":                             link(),
	} {
		path := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenWebDataset(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestExpandBraces(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    []string
	}{
		{"a.tar", []string{"a.tar"}},
		{"", []string{""}},
		{"{a,b}", []string{"a", "b"}},
		{"x{08..11}.tar", []string{"x08.tar", "x09.tar", "x10.tar", "x11.tar"}},
		{"{9..10}", []string{"9", "10"}},
		{"{a,}{1..2}z", []string{"a1z", "a2z", "1z", "2z"}},
	} {
		if got, err := ExpandBraces(tt.pattern); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q gives %q, error %v; want %q", tt.pattern, got, err, tt.want)
		}
	}
	for _, bad := range []string{"{", "}", "{a", "a}", "{{a}}", "{2..1}", "{a..b}", "{-1..2}", "{0..100000}", "{0..999}{0..999}"} {
		if got, err := ExpandBraces(bad); err == nil {
			t.Errorf("%q gives %d words, want an error", bad, len(got))
		}
	}
}

func TestOpenEmoji(t *testing.T) {
	const names = `[{"name": "HASH KEY", "unified": "0023-FE0F-20E3", "short_names": ["hash"]}, {"name": "RUNNER", "unified": "1F3C3", "short_names": ["runner", "man_running"]}, {"name": "X", "unified": "1F9FF"}]`
	const base = `[{"label": "keycap: #", "hexcode": "0023-20E3"}, {"label": "person running", "hexcode": "1F3C3", "tags": ["running", "race"]}]`
	art := map[string]string{
		"emoji-datasource-twitter/img/twitter/64/0023-fe0f-20e3.png": "1", "emoji-datasource-twitter/img/twitter/64/1f3c3.png": "22",
		"emoji-datasource-twitter/img/twitter/64/1f3c3-1f3fb.png": "1", "emoji-datasource-twitter/emoji.json": names,
		"@lobehub/fluent-emoji-3d/assets/0023-20e3.png": "333", "@lobehub/fluent-emoji-3d/assets/1f3c3.png": "4444",
		"README.md": "x",
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"names of the art": {art, []string{"hash key | hash key: hash", "runner | runner: man running"}},
		"labels and tags":  {with(art, "emojibase-data/en/data.json", base), []string{"keycap: #", "person running | person running: running, race"}},
	} {
		styles, err := OpenEmoji(stored(t, tt.files))
		if err != nil {
			t.Fatal(err)
		}
		if len(styles) != 2 || styles[0].Name != "fluent-emoji-3d" || styles[1].Name != "twitter" {
			t.Fatalf("%s: styles %v", name, styles)
		}
		for i, width := range []int{3, 1} {
			want := []string{fmt.Sprint(width, ": ", tt.want[0]), fmt.Sprint(width+1, ": ", tt.want[1])}
			if got := said(t, styles[i].Captions); !slices.Equal(got, want) {
				t.Errorf("%s: %s: %q, want %q", name, styles[i].Name, got, want)
			}
		}
	}
	// The package alone.
	if styles, err := OpenEmoji(filepath.Join(stored(t, art), "emoji-datasource-twitter")); err != nil || len(styles) != 1 || styles[0].Len() != 2 {
		t.Errorf("styles %v, error %v", styles, err)
	}
	for want, files := range map[string]map[string]string{
		"nothing names the emoji": oneImage,
		"holds no emoji":          {"p/emoji.json": names},
		"no emoji in common":      {"p/emoji.json": names, "p/img/a/64/1f3c3.png": "1", "p/img/b/64/0023-20e3.png": "1"},
		"is there twice":          {"p/emoji.json": names, "p/img/a/64/1f3c3.png": "1", "q/img/a/64/1f3c3.png": "1"},
		"emoji.json: entry 0":     {"p/emoji.json": "[{}]"},
		"data.json: ":             {"p/en/data.json": "{"},
		"entry 0 lacks label":     {"p/en/data.json": "[{}]"},
	} {
		if _, err := OpenEmoji(stored(t, files)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestShapesCaptions(t *testing.T) {
	s := Shapes{N: 3, Size: 16, Seed: 1}
	for i := range 3 {
		ex, err := s.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Captions(i); !slices.Equal(got, []string{ex.Caption}) {
			t.Errorf("captions %q, want %q", got, ex.Caption)
		}
	}
}
