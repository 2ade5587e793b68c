package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tessera/clip/search"
)

const dim = 16

// fakeIndex keeps items in a map. Scores are mean cosines.
type fakeIndex struct {
	mu    sync.Mutex
	items map[string]search.Item
}

func newIndex(items ...search.Item) *fakeIndex {
	x := &fakeIndex{items: map[string]search.Item{}}
	x.Put(context.Background(), items)
	return x
}

func (x *fakeIndex) Put(_ context.Context, items []search.Item) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, it := range items {
		x.items[it.ID] = it
	}
	return nil
}

func (x *fakeIndex) Delete(_ context.Context, ids []string) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := len(x.items)
	for _, id := range ids {
		delete(x.items, id)
	}
	return before - len(x.items), nil
}

func (x *fakeIndex) Get(_ context.Context, ids []string) (found []search.Item, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		if it, ok := x.items[id]; ok {
			found = append(found, it)
		}
	}
	return found, nil
}

func (x *fakeIndex) Search(_ context.Context, q search.Query) (hits []search.Hit, err error) {
	v, err := q.Vector()
	if err != nil {
		return nil, err
	}
	cosine := func(w []float32) *float64 {
		if w == nil {
			return nil
		}
		sum := 0.0
		for i := range w {
			sum += float64(v[i]) * float64(w[i])
		}
		return &sum
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, it := range x.items {
		if !q.Filter.Match(it.Meta) {
			continue
		}
		h := search.Hit{Item: it}
		n := 0.0
		if q.In != search.Texts {
			h.ImageCosine = cosine(it.ImageVector)
		}
		if q.In != search.Images {
			h.TextCosine = cosine(it.TextVector)
		}
		for _, c := range []*float64{h.ImageCosine, h.TextCosine} {
			if c != nil {
				h.Score, n = h.Score+*c, n+1
			}
		}
		if h.Score /= max(n, 1); n > 0 && (q.MinScore == nil || h.Score >= *q.MinScore) {
			hits = append(hits, h)
		}
	}
	slices.SortFunc(hits, func(a, b search.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID))
	})
	return hits[:min(len(hits), q.K)], nil
}

func (x *fakeIndex) Info(context.Context) (search.Info, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	info := search.Info{Model: "m", Dim: dim, Items: len(x.items)}
	for _, it := range x.items {
		if it.ImageVector != nil {
			info.Images++
		}
		if it.TextVector != nil {
			info.Texts++
		}
	}
	return info, nil
}

func (x *fakeIndex) Close() error { return nil }

// fakeModel places a text at the sum of its words and an image at the word that
// its color is called.
type fakeModel struct {
	mu      sync.Mutex
	batches []int
	seen    map[string]int
	enter   chan struct{} // if not nil, every batch sends here
	leave   chan struct{} // and then waits for this
	each    time.Duration // a batch takes
	fail    func(text string) error
}

func (*fakeModel) Model() string { return "m" }
func (*fakeModel) Dim() int      { return dim }

func (m *fakeModel) batch(ctx context.Context, n int) error {
	m.mu.Lock()
	m.batches = append(m.batches, n)
	m.mu.Unlock()
	if m.enter != nil {
		m.enter <- struct{}{}
		select {
		case <-m.leave:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	time.Sleep(m.each)
	return nil
}

func (m *fakeModel) Texts(ctx context.Context, texts []string) ([][]float32, error) {
	if err := m.batch(ctx, len(texts)); err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		m.mu.Lock()
		if m.seen == nil {
			m.seen = map[string]int{}
		}
		m.seen[t]++
		m.mu.Unlock()
		if m.fail != nil {
			if err := m.fail(t); err != nil {
				return nil, err
			}
		}
		out[i] = wordVector(t)
	}
	return out, nil
}

func (m *fakeModel) Images(ctx context.Context, images []image.Image) ([][]float32, error) {
	if err := m.batch(ctx, len(images)); err != nil {
		return nil, err
	}
	out := make([][]float32, len(images))
	for i, im := range images {
		out[i] = wordVector(colorName(im))
	}
	return out, nil
}

// Encode makes three tokens of each word.
func (*fakeModel) Encode(texts []string) ([][]int, error) {
	ids := make([][]int, len(texts))
	for i, t := range texts {
		ids[i] = make([]int, 3*len(strings.Fields(t)))
	}
	return ids, nil
}

var colors = map[string]color.NRGBA{
	"red": {220, 40, 40, 255}, "green": {40, 160, 70, 255}, "blue": {50, 80, 220, 255}, "yellow": {240, 200, 40, 255},
}

func colorName(im image.Image) string {
	r, g, b, _ := im.At(im.Bounds().Dx()/2, im.Bounds().Dy()/2).RGBA()
	best, least := "", math.Inf(1)
	for _, name := range slices.Sorted(maps.Keys(colors)) {
		c := colors[name]
		d := math.Hypot(math.Hypot(float64(r>>8)-float64(c.R), float64(g>>8)-float64(c.G)), float64(b>>8)-float64(c.B))
		if d < least {
			best, least = name, d
		}
	}
	return best
}

func wordVector(text string) []float32 {
	v, norm := make([]float64, dim), 0.0
	for _, w := range strings.Fields(text) {
		h := fnv.New64a()
		h.Write([]byte(w))
		rng := rand.New(rand.NewPCG(h.Sum64(), 1))
		for i := range v {
			v[i] += rng.NormFloat64()
		}
	}
	for _, x := range v {
		norm += x * x
	}
	out := make([]float32, dim)
	for i, x := range v {
		out[i] = float32(x / math.Sqrt(norm))
	}
	return out
}

// disc is a picture of a colored disc on a transparent ground.
func disc(c color.NRGBA, w, h int) []byte {
	im := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			if math.Hypot(float64(x-w/2), float64(y-h/2)) < 0.45*float64(min(w, h)) {
				im.SetNRGBA(x, y, c)
			}
		}
	}
	var b bytes.Buffer
	png.Encode(&b, im)
	return b.Bytes()
}

func dataURL(file []byte) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(file)
}

// start serves until the test ends.
func start(t testing.TB, index search.Index, model search.Embedder, o Options) (*Server, *httptest.Server) {
	t.Helper()
	s, err := New(index, model, o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewUnstartedServer(nil)
	h.Config = s.HTTPServer("")
	h.Start()
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, h
}

// reply is an answer and its body.
type reply struct {
	*http.Response
	body []byte
}

// code is that of an error, and "" for anything else.
func (r reply) code() string {
	var e struct {
		Error struct{ Message, Type, Code string }
	}
	if json.Unmarshal(r.body, &e) != nil || e.Error.Message == "" || e.Error.Type == "" {
		return ""
	}
	return e.Error.Code
}

func send(t testing.TB, method, url, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res, b}
}

func (r reply) decode(t testing.TB, v any) {
	t.Helper()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", r.StatusCode, r.body)
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
}

// post asks the server without a connection.
func post(s *Server, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(body)))
	return w
}

// listen serves on a free port of this machine and gives the address.
func listen(t testing.TB, web *http.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", web.Addr)
	if err != nil {
		t.Fatal(err)
	}
	go web.Serve(l)
	return l.Addr().String()
}
