package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer is written by a server and read by its test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServer runs "search serve" until stop is called, which gives the exit code.
func startServer(t *testing.T, args ...string) (url string, errs *lockedBuffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	errs = &lockedBuffer{}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"search", "serve"}, args...), nil, w, errs)
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("the server printed nothing: %s", errs)
	}
	url, _, _ = strings.Cut(line, ": ")
	return url, errs, func() int {
		cancel()
		select {
		case c := <-code:
			return c
		case <-time.After(20 * time.Second):
			t.Fatal("the server does not stop")
			return -1
		}
	}
}

func TestSearchServe(t *testing.T) {
	index, dir := shop(t)
	t.Setenv("TESSERA_TOKEN", "secret")
	url, errs, stop := startServer(t, "--model", goldenClip, "--index", index, "--images", dir, "--addr", "127.0.0.1:0")
	call := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer secret")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(b)
	}
	if code, body := call("POST", "/v1/search", `{"terms": [{"text": "only words"}], "in": "text", "k": 1}`); code != 200 || !strings.Contains(body, `"note"`) {
		t.Errorf("search gives %d: %s", code, body)
	}
	for _, path := range []string{"/v1/thumbnail/2", "/v1/heatmap/2?text=red"} {
		if code, body := call("GET", path, ""); code != 200 || len(body) < 100 {
			t.Errorf("%s gives %d: %.200s", path, code, body)
		}
	}
	if code, body := call("POST", "/v1/items", `{"id": "added", "text": "by the server"}`); code/100 != 2 {
		t.Errorf("items gives %d: %s", code, body)
	}
	if a, err := http.Get(url + "/v1/items/note"); err != nil || a.StatusCode != 401 {
		t.Errorf("without the token: %v, %v", a, err)
	}
	if code := stop(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var all []string
	for _, it := range storedItems(t, index) {
		all = append(all, it.ID)
	}
	if got := strings.Join(all, " "); got != "0 1 2 3 added note" {
		t.Errorf("after the server the items are %s", got)
	}

	// Open to all, and said so.
	t.Setenv("TESSERA_TOKEN", "")
	_, errs, stop = startServer(t, "--model", goldenClip, "--index", filepath.Join(dir, "new"), "--addr", ":0")
	if code := stop(); code != exitOK || !strings.Contains(errs.String(), "OPEN TO EVERYONE") || !strings.Contains(errs.String(), "--images") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestSearchEval(t *testing.T) {
	index, dir := shop(t)
	measure := func(args ...string) (all []found) {
		t.Helper()
		if err := json.Unmarshal([]byte(mustSearch(t, append([]string{"eval", "--json"}, args...)...)), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	// All is found, among so few.
	exact := measure("--index", index, "--precision", "int8", "--queries", "20", "--seed", "4")
	if len(exact) != 2 || exact[0].Name != "exact" || exact[1].Name != "int8" {
		t.Fatalf("measured %+v", exact)
	}
	for _, f := range exact {
		if f.Queries != 20 || f.Recall != 1 || f.Recall1 != 1 || f.NDCG < 0.9999 || f.P50 <= 0 || f.P99 < f.P50 {
			t.Errorf("measured %+v, want all found", f)
		}
	}
	judged := filepath.Join(dir, "judged.jsonl")
	write(t, judged, []byte(`{"text": "only words", "relevant": ["note", "gone"]}
{"image": "2.png", "relevant": {"2": 3, "note": 0}}
`))
	all := measure("--index", index, "--model", goldenClip, "--judgements", judged, "--fusion", "raw,reciprocal", "--in", "image", "--top", "2")
	// Of the first query nothing can be found among images, of the second all.
	if len(all) != 2 || all[0].Name != "raw" || all[1].Name != "reciprocal" {
		t.Fatalf("measured %+v", all)
	}
	for _, f := range all {
		if f.Queries != 2 || f.Recall != 0.5 || f.Recall1 != 0.5 || f.NDCG != 0.5 {
			t.Errorf("measured %+v, want half found", f)
		}
	}
	shapes := measure("--data", "shapes:300", "--model", goldenClip, "--queries", "30")
	if len(shapes) != 8 || shapes[0].Name != "text, raw" || shapes[7].Name != "image, reciprocal" || shapes[0].Queries == 0 {
		t.Errorf("measured %+v", shapes)
	}
	if again := measure("--data", "shapes:300", "--model", goldenClip, "--queries", "30"); again[1].NDCG != shapes[1].NDCG || again[5].Recall != shapes[5].Recall {
		t.Errorf("measured %+v, then %+v", shapes, again)
	}
	for line, want := range map[string]string{
		``:                                     "there are no judgements",
		`{"relevant": ["a"]}`:                  "neither text nor image",
		`{"text": "a"}`:                        "neither a list of ids nor an object",
		`{"text": "a", "relevant": []}`:        "nothing is relevant",
		`{"text": "a", "relevant": {"b": -1}}`: "the gain of \"b\" is -1",
		`{"text": "a", "relevent": ["b"]}`:     "relevent",
		`{"text": "a", "relevant": ["b"]} 1`:   "there is more",
	} {
		if _, err := readJudgements(strings.NewReader("\n" + line)); err == nil || !strings.Contains(err.Error(), want) || line != "" && !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: error %v, want %q", line, err, want)
		}
	}
}

func FuzzReadJudgements(f *testing.F) {
	f.Add([]byte(`{"text": "a", "relevant": {"b": 2}}`))
	f.Add([]byte("\n" + `{"image": "a", "relevant": ["b"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := readJudgements(bytes.NewReader(text))
		if err == nil && len(all) == 0 {
			t.Error("neither judgements nor an error")
		}
		for _, j := range all {
			if j.Text == "" && j.Image == "" || len(j.gains) == 0 {
				t.Errorf("accepted %+v", j)
			}
		}
	})
}
