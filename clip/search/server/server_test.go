package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/clip/search"
)

// gallery is a folder of discs and an index of them, some with captions.
func gallery(t testing.TB) (folder string, index *fakeIndex) {
	t.Helper()
	folder = t.TempDir()
	index = newIndex()
	for name, c := range colors {
		if err := os.WriteFile(filepath.Join(folder, name+".png"), disc(c, 400, 200), 0o600); err != nil {
			t.Fatal(err)
		}
		index.items[name] = search.Item{
			ID: name, Image: name + ".png", Text: name + " disc", Meta: map[string]any{"letters": float64(len(name))},
			ImageVector: wordVector(name), TextVector: wordVector(name + " disc"),
		}
	}
	return folder, index
}

type heatFake struct{}

func (heatFake) Heat(_ context.Context, im image.Image, text string) (image.Image, error) {
	r := im.Bounds()
	out := image.NewRGBA(r)
	for y := range r.Dy() {
		for x := range r.Dx() {
			out.Set(x, y, color.RGBA{uint8(255 * x / r.Dx()), uint8(40 * len(text)), uint8(200 * y / r.Dy()), 255})
		}
	}
	return out, nil
}

func ids(t *testing.T, r reply) []string {
	t.Helper()
	var out struct{ Hits []search.Hit }
	r.decode(t, &out)
	var ids []string
	for _, h := range out.Hits {
		ids = append(ids, h.ID)
	}
	return ids
}

func TestSearch(t *testing.T) {
	_, index := gallery(t)
	_, h := start(t, index, &fakeModel{}, Options{})
	picture := dataURL(disc(colors["blue"], 40, 30))
	for _, tt := range []struct {
		name, body string
		want       string // the first hit, "" for none
		hits       int
	}{
		{"a text", `{"terms":[{"text":"red"}]}`, "red", 4},
		{"an image", `{"terms":[{"image":"` + picture + `"}],"in":"image"}`, "blue", 4},
		{"an image without padding", `{"terms":[{"image":"` + strings.TrimRight(picture, "=") + `"}]}`, "blue", 4},
		{"the heavier of two", `{"terms":[{"text":"red","weight":0.2},{"image":"` + picture + `","weight":2}]}`, "blue", 4},
		{"the rest when one is not wanted", `{"terms":[{"text":"yellow"},{"text":"red","weight":-0.3}],"k":1}`, "yellow", 1},
		{"a filter", `{"terms":[{"text":"red"}],"filter":[{"key":"letters","op":">=","value":6}]}`, "yellow", 1},
		{"a score nothing has", `{"terms":[{"text":"red"}],"min_score":2}`, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ids(t, send(t, "POST", h.URL+"/v1/search", tt.body))
			if len(got) != tt.hits || len(got) > 0 && got[0] != tt.want {
				t.Errorf("hits %q, want %d, first %q", got, tt.hits, tt.want)
			}
		})
	}
	r := send(t, "POST", h.URL+"/v1/search", `{"terms":[{"text":"x"}],"min_score":2}`)
	if got := strings.TrimSpace(string(r.body)); got != `{"hits":[]}` {
		t.Errorf("no hits are %s", got)
	}
}

func TestItems(t *testing.T) {
	folder, index := gallery(t)
	_, h := start(t, index, &fakeModel{}, Options{Folder: folder})
	known, _ := json.Marshal(wordVector("plum"))
	body := `[{"id":"a/b ü?","text":"plum","meta":{"n":1}},
		{"id":"p","image":"` + dataURL(disc(colors["green"], 9, 9)) + `"},
		{"id":"f","image":"blue.png"},
		{"id":"v","image":"elsewhere.jpg","image_vector":` + string(known) + `}]`
	if r := send(t, "POST", h.URL+"/v1/items", body); r.StatusCode != 200 || !strings.Contains(string(r.body), `{"items":4}`) {
		t.Fatalf("status %d: %s", r.StatusCode, r.body)
	}
	for id, want := range map[string]search.Item{
		"a/b ü?": {Text: "plum", TextVector: wordVector("plum")},
		"p":      {ImageVector: wordVector("green")}, // the picture is not kept
		"f":      {Image: "blue.png", ImageVector: wordVector("blue")},
		"v":      {Image: "elsewhere.jpg", ImageVector: wordVector("plum")},
	} {
		got := index.items[id]
		if got.Image != want.Image || got.Text != want.Text || !slices.Equal(got.ImageVector, want.ImageVector) || !slices.Equal(got.TextVector, want.TextVector) {
			t.Errorf("item %q is %+v, want %+v", id, got, want)
		}
	}
	for _, path := range []string{"/v1/items/a%2Fb%20%C3%BC%3F", "/v1/items/a/b%20%C3%BC%3F"} {
		var item search.Item
		send(t, "GET", h.URL+path, "").decode(t, &item)
		if item.ID != "a/b ü?" || item.Text != "plum" || item.Meta["n"] != 1.0 {
			t.Errorf("%s gave %+v", path, item)
		}
	}
	if r := send(t, "DELETE", h.URL+"/v1/items/p", ""); r.StatusCode != 200 || !strings.Contains(string(r.body), `{"deleted":1}`) {
		t.Errorf("delete: %d %s", r.StatusCode, r.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if r := send(t, method, h.URL+"/v1/items/p", ""); r.StatusCode != 404 || r.code() != "no_such_item" {
			t.Errorf("%s of a deleted item: %d %s", method, r.StatusCode, r.body)
		}
	}
	if r := send(t, "POST", h.URL+"/v1/items", `{"id":"one","text":"red"}`); r.StatusCode != 200 || index.items["one"].Text != "red" {
		t.Errorf("a single item: %d %s", r.StatusCode, r.body)
	}
	if r := send(t, "POST", h.URL+"/v1/items", `[]`); r.StatusCode != 200 || !strings.Contains(string(r.body), `{"items":0}`) {
		t.Errorf("no items: %d %s", r.StatusCode, r.body)
	}
}

func TestEmbeddings(t *testing.T) {
	_, h := start(t, newIndex(), &fakeModel{}, Options{})
	blue := dataURL(disc(colors["blue"], 8, 8))
	for _, tt := range []struct {
		name, input string
		want        []string // words of the vectors
		tokens      int
	}{
		{"a text", `"red fox"`, []string{"red fox"}, 6},
		{"texts", `["red","","x"]`, nil, 0}, // refused: see TestRefusals
		{"texts in order", `["red","blue","red"]`, []string{"red", "blue", "red"}, 9},
		{"a data URL", `"` + blue + `"`, []string{"blue"}, 0},
		{"objects", `[{"image":"` + blue + `"},{"text":"data:image/"},"x"]`, []string{"blue", "data:image/", "x"}, 6},
	} {
		if tt.want == nil {
			continue
		}
		for _, format := range []string{"", "float", "base64"} {
			t.Run(tt.name+" "+format, func(t *testing.T) {
				body := `{"model":"any","user":"u","input":` + tt.input
				if format != "" {
					body += `,"encoding_format":"` + format + `"`
				}
				var out struct {
					Object, Model string
					Data          []struct {
						Object    string
						Index     int
						Embedding json.RawMessage
					}
					Usage map[string]int
				}
				send(t, "POST", h.URL+"/v1/embeddings", body+"}").decode(t, &out)
				if out.Object != "list" || out.Model != "m" || len(out.Data) != len(tt.want) || out.Usage["prompt_tokens"] != tt.tokens || out.Usage["total_tokens"] != tt.tokens {
					t.Fatalf("answer %+v, want %d vectors, %d tokens", out, len(tt.want), tt.tokens)
				}
				for i, d := range out.Data {
					if got := floats(t, d.Embedding, format); d.Index != i || d.Object != "embedding" || !slices.Equal(got, wordVector(tt.want[i])) {
						t.Errorf("%d is %d, %v", i, d.Index, got)
					}
				}
			})
		}
	}
}

func floats(t *testing.T, b []byte, format string) (v []float32) {
	t.Helper()
	if format != "base64" {
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(raw); i += 4 {
		v = append(v, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
	}
	return v
}

func TestPictures(t *testing.T) {
	folder, index := gallery(t)
	secret := filepath.Join(t.TempDir(), "secret.png")
	write := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret, disc(colors["red"], 9, 9))
	write(filepath.Join(folder, "unnamed.png"), disc(colors["red"], 9, 9))
	write(filepath.Join(folder, "text.png"), []byte("no image"))
	write(filepath.Join(folder, "wide.png"), bomb(1<<20, 1<<10))
	if err := os.Symlink(secret, filepath.Join(folder, "link.png")); err != nil {
		t.Fatal(err)
	}
	for id, path := range map[string]string{
		"outside": "../" + filepath.Base(filepath.Dir(secret)) + "/secret.png", "absolute": secret, "link": "link.png",
		"missing": "missing.png", "text": "text.png", "folder": ".", "bomb": "wide.png", "address": "https://example.com/a.png",
		"inside": filepath.Join(folder, "red.png"), // the path in full
	} {
		index.items[id] = search.Item{ID: id, Image: path, ImageVector: wordVector(id)}
	}
	index.items["words"] = search.Item{ID: "words", Text: "words", TextVector: wordVector("words")}
	_, h := start(t, index, &fakeModel{}, Options{Folder: folder, Heater: heatFake{}})

	for _, path := range []string{"/v1/thumbnail/red", "/v1/thumbnail/inside", "/v1/heatmap/red?text=disc"} {
		r := send(t, "GET", h.URL+path, "")
		im, _, err := image.Decode(bytes.NewReader(r.body))
		if r.StatusCode != 200 || err != nil {
			t.Fatalf("%s: %d %.80s %v", path, r.StatusCode, r.body, err)
		}
		thumbnail, size := strings.Contains(path, "thumbnail"), im.Bounds().Size()
		if thumbnail && (size != image.Pt(320, 160) || r.Header.Get("Content-Type") != "image/png") {
			t.Errorf("%s: %v %s, want the disc small and still transparent", path, size, r.Header.Get("Content-Type"))
		}
		if !thumbnail && (size != image.Pt(400, 200) || r.Header.Get("Content-Type") != "image/jpeg") {
			t.Errorf("%s: %v %s", path, size, r.Header.Get("Content-Type"))
		}
		if tag := r.Header.Get("ETag"); thumbnail {
			if again := send(t, "GET", h.URL+path, "", "If-None-Match", tag); tag == "" || again.StatusCode != 304 || len(again.body) > 0 {
				t.Errorf("%s with its ETag %q: %d", path, tag, again.StatusCode)
			}
		}
	}
	for _, tt := range []struct{ path, code string }{
		{"/v1/thumbnail/outside", "no_image"}, {"/v1/thumbnail/absolute", "no_image"}, {"/v1/thumbnail/link", "no_image"},
		{"/v1/thumbnail/missing", "no_image"}, {"/v1/thumbnail/text", "no_image"}, {"/v1/thumbnail/folder", "no_image"},
		{"/v1/thumbnail/bomb", "no_image"}, {"/v1/thumbnail/address", "no_image"}, {"/v1/thumbnail/words", "no_image"},
		{"/v1/thumbnail/unnamed.png", "no_such_item"}, {"/v1/thumbnail/", "no_such_item"},
		{"/v1/heatmap/words?text=x", "no_image"}, {"/v1/heatmap/nothing?text=x", "no_such_item"},
	} {
		if r := send(t, "GET", h.URL+tt.path, ""); r.StatusCode != 404 || r.code() != tt.code {
			t.Errorf("%s: %d %s, want 404 %s", tt.path, r.StatusCode, r.body, tt.code)
		}
	}
	if r := send(t, "GET", h.URL+"/v1/heatmap/red", ""); r.StatusCode != 400 {
		t.Errorf("heat map of nothing: %d %s", r.StatusCode, r.body)
	}
	for _, image := range []string{"../x.png", "link.png", secret, "missing.png"} {
		r := send(t, "POST", h.URL+"/v1/items", fmt.Sprintf(`{"id":"x","image":%q}`, image))
		if r.StatusCode != 400 || index.items["x"].ID != "" {
			t.Errorf("item with image %q: %d %s", image, r.StatusCode, r.body)
		}
	}
}

func TestInfoMetricsAndPage(t *testing.T) {
	folder, index := gallery(t)
	_, h := start(t, index, &fakeModel{}, Options{Folder: folder, Heater: heatFake{}})
	var info struct {
		Items, Dim, Max_K    int
		Thumbnails, Heatmaps bool
	}
	send(t, "GET", h.URL+"/v1/info", "").decode(t, &info)
	if info.Items != 4 || info.Dim != dim || !info.Thumbnails || !info.Heatmaps || info.Max_K != 1000 {
		t.Errorf("info %+v", info)
	}
	if r := send(t, "GET", h.URL+"/healthz", ""); r.StatusCode != 200 || !strings.Contains(string(r.body), `"ok"`) {
		t.Errorf("health: %d %s", r.StatusCode, r.body)
	}
	send(t, "POST", h.URL+"/v1/search", `{"terms":[{"text":"red"}]}`)
	send(t, "BREW", h.URL+"/pot/of/"+url.PathEscape("anything"), "")
	numbers := string(send(t, "GET", h.URL+"/metrics", "").body)
	for _, want := range []string{
		`tessera_http_requests_total{method="POST",route="/v1/search",status="200"} 1`,
		`tessera_http_requests_total{method="other",route="unknown",status="404"} 1`,
		`tessera_http_request_seconds_count{route="/v1/search"} 1`,
		`tessera_batch_size_sum{kind="text"} 1`, `tessera_queue_length{kind="text"} 0`, "tessera_items 4", "go_goroutines ",
	} {
		if !strings.Contains(numbers, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"} {
		r := send(t, "GET", h.URL+path, "")
		if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
		for _, address := range []string{"http://", "https://", "//cdn"} {
			if bytes.Contains(r.body, []byte(address)) {
				t.Errorf("%s names %s", path, address)
			}
		}
		if head := send(t, "HEAD", h.URL+path, ""); head.StatusCode != 200 || len(head.body) > 0 {
			t.Errorf("HEAD %s: %d", path, head.StatusCode)
		}
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"a negative queue", Options{Queue: -1}, "Queue is -1"},
		{"a negative time", Options{Timeout: -1}, "Timeout is -1"},
		{"no such folder", Options{Folder: "/no/such/folder"}, "folder of images"},
	} {
		if _, err := New(newIndex(), &fakeModel{}, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := New(newIndex(), otherModel{&fakeModel{}}, Options{}); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("another model: error %v", err)
	}
	if _, err := New(nil, nil, Options{}); err == nil {
		t.Error("no index: no error")
	}
}

type otherModel struct{ *fakeModel }

func (otherModel) Model() string { return "another" }

var _ http.Handler = (*Server)(nil)
