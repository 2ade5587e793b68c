package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tessera/clip/search"
)

// inBubble starts a server whose time is the test's.
func inBubble(t *testing.T, m *fakeModel, o Options, test func(t *testing.T, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(newIndex(), m, o)
		if err != nil {
			t.Fatal(err)
		}
		test(t, s)
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func texts(values ...string) (out []content) {
	for _, v := range values {
		out = append(out, content{text: v})
	}
	return out
}

func TestBatches(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     []time.Duration // when each request comes
		inputs [][]content
		want   []int // sizes of batches
	}{
		{"one alone waits for the window", []time.Duration{0}, [][]content{texts("a")}, []int{1}},
		{"two within it", []time.Duration{0, 900}, [][]content{texts("a"), texts("b")}, []int{2}},
		{"two apart", []time.Duration{0, 1100}, [][]content{texts("a"), texts("b")}, []int{1, 1}},
		{"equal ones are computed once", []time.Duration{0, 0, 0}, [][]content{texts("a", "a"), texts("b"), texts("a")}, []int{2}},
		{"a full batch does not wait", []time.Duration{0, 10}, [][]content{texts("a", "b", "c", "d"), texts("e")}, []int{4, 1}},
		{"a long request is cut", []time.Duration{0}, [][]content{texts("a", "b", "c", "d", "e", "f")}, []int{4, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &fakeModel{}
			inBubble(t, m, Options{MaxBatch: 4, Window: 1000}, func(t *testing.T, s *Server) {
				var all sync.WaitGroup
				for i, contents := range tt.inputs {
					all.Go(func() {
						time.Sleep(tt.at[i])
						vectors, err := s.vectors(t.Context(), contents)
						if err != nil || len(vectors) != len(contents) {
							t.Errorf("%d vectors, %v", len(vectors), err)
							return
						}
						for k, v := range vectors {
							if !slices.Equal(v, wordVector(contents[k].text)) {
								t.Errorf("request %d has another's vector at %d", i, k)
							}
						}
					})
				}
				all.Wait()
			})
			if !slices.Equal(m.batches, tt.want) {
				t.Errorf("batches of %d, want %d", m.batches, tt.want)
			}
		})
	}
}

func TestBatchOfImagesIsBoundedInPixels(t *testing.T) {
	m := &fakeModel{}
	inBubble(t, m, Options{MaxPixels: 100, MaxBatch: 8}, func(t *testing.T, s *Server) {
		var contents []content
		for _, side := range []int{9, 4, 2, 8, 7, 1} { // 81+16, 4+64, 49+1 pixels
			p, err := s.readPicture(disc(colors["red"], side, side), "it")
			if err != nil {
				t.Fatal(err)
			}
			contents = append(contents, content{image: &p})
		}
		if _, err := s.vectors(t.Context(), contents); err != nil {
			t.Fatal(err)
		}
	})
	if want := []int{2, 2, 2}; !slices.Equal(m.batches, want) {
		t.Errorf("batches of %d, want %d", m.batches, want)
	}
}

func TestFullQueue(t *testing.T) {
	m := &fakeModel{enter: make(chan struct{}), leave: make(chan struct{})}
	_, h := start(t, newIndex(), m, Options{Queue: 3, MaxBatch: 1})
	answers := make(chan reply)
	ask := func(text string) {
		go func() { answers <- send(t, "POST", h.URL+"/v1/embeddings", `{"input":["`+text+`"]}`) }()
	}
	ask("first")
	<-m.enter // the model is at work, the queue is empty
	if r := send(t, "POST", h.URL+"/v1/embeddings", `{"input":["1","2","3","4"]}`); r.StatusCode != 413 {
		t.Errorf("more than can ever wait: %d %s", r.StatusCode, r.body)
	}
	for i := range 8 {
		ask(fmt.Sprint("more ", i))
	}
	for range 5 {
		r := <-answers
		if r.StatusCode != http.StatusTooManyRequests || r.code() != "queue_full" || r.Header.Get("Retry-After") != "1" {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	}
	if numbers := string(send(t, "GET", h.URL+"/metrics", "").body); !strings.Contains(numbers, `tessera_queue_length{kind="text"} 3`) {
		t.Error("the queue does not show in the metrics")
	}
	for i := range 4 {
		if i > 0 {
			<-m.enter
		}
		m.leave <- struct{}{}
	}
	for range 4 {
		if r := <-answers; r.StatusCode != 200 {
			t.Errorf("one who waited: %d %s", r.StatusCode, r.body)
		}
	}
}

func TestCancelled(t *testing.T) {
	m := &fakeModel{enter: make(chan struct{}), leave: make(chan struct{})}
	inBubble(t, m, Options{Queue: 2}, func(t *testing.T, s *Server) {
		m.enter, m.leave = make(chan struct{}), make(chan struct{})
		results := make(chan error)
		ask := func(ctx context.Context, text string) {
			go func() {
				_, err := s.vectors(ctx, texts(text))
				results <- err
			}()
			synctest.Wait()
		}
		first, gone := context.WithCancel(t.Context())
		ask(first, "first")
		<-m.enter
		left, leave := context.WithCancel(t.Context())
		ask(left, "left")
		ask(left, "left too")
		leave()
		for range 2 {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		ask(t.Context(), "kept") // there is room again
		gone()                   // nobody waits for the batch: it is broken off
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		<-m.enter
		m.leave <- struct{}{}
		if err := <-results; err != nil {
			t.Error(err)
		}
	})
	if m.seen["left"]+m.seen["left too"] > 0 || m.seen["kept"] != 1 {
		t.Errorf("computed %v, want no one who left", m.seen)
	}
}

func TestOneInputFails(t *testing.T) {
	for name, fail := range map[string]func(string) error{
		"by an error": func(text string) error {
			if text == "bad" {
				return errors.New("no good")
			}
			return nil
		},
		"by a panic": func(text string) error {
			if text == "bad" {
				panic("no good")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, &fakeModel{fail: fail}, Options{}, func(t *testing.T, s *Server) {
				var all sync.WaitGroup
				for _, text := range []string{"a", "bad", "b"} {
					all.Go(func() {
						_, err := s.vectors(t.Context(), texts(text))
						if (err != nil) != (text == "bad") && name == "by an error" {
							t.Errorf("%s: %v", text, err)
						}
						if text == "bad" && err == nil {
							t.Error("no error")
						}
					})
				}
				all.Wait()
				if _, err := s.vectors(t.Context(), texts("c")); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

func TestTimeout(t *testing.T) {
	m := &fakeModel{each: 400 * time.Millisecond}
	_, h := start(t, newIndex(), m, Options{Timeout: 100 * time.Millisecond})
	if r := send(t, "POST", h.URL+"/v1/embeddings", `{"input":"x"}`); r.StatusCode != 503 || r.code() != "timeout" || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

// A stop in the midst of writes: whoever was told that an item is on disk finds
// it there, and everyone is told something.
func TestGracefulStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "items")
	index, err := search.Open(path, search.Options{Dim: dim, Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(index, &fakeModel{each: 5 * time.Millisecond}, Options{MaxBatch: 4})
	if err != nil {
		t.Fatal(err)
	}
	web := s.HTTPServer("127.0.0.1:0")
	address := listen(t, web)
	type result struct {
		id     string
		status int
	}
	results := make(chan result)
	const writers = 40
	for i := range writers {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d", i, n)
				r, err := http.Post("http://"+address+"/v1/items", "application/json", strings.NewReader(`{"id":"`+id+`","text":"`+id+`"}`))
				if err != nil {
					results <- result{} // not accepted
					return
				}
				r.Body.Close()
				results <- result{id, r.StatusCode}
			}
		}()
	}
	written, ended := map[string]bool{}, 0
	stopped := make(chan error, 1)
	for ended < writers {
		r := <-results
		switch r.status {
		case 0:
			ended++
		case http.StatusOK:
			written[r.id] = true
		default:
			t.Errorf("item %s: status %d", r.id, r.status)
		}
		if len(written) == 2*writers && r.status == http.StatusOK {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				stopped <- errors.Join(web.Shutdown(ctx), s.Close(ctx))
			}()
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	index, err = search.Open(path, search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	for id := range written {
		if found, err := index.Get(t.Context(), []string{id}); err != nil || len(found) != 1 {
			t.Errorf("item %s was accepted and is lost: %v", id, err)
		}
	}
	if len(written) < 2*writers {
		t.Errorf("%d items written", len(written))
	}
}

func TestCloseWaitsAndRefuses(t *testing.T) {
	m := &fakeModel{}
	index := newIndex()
	synctest.Test(t, func(t *testing.T) {
		m.enter, m.leave = make(chan struct{}), make(chan struct{})
		s, err := New(index, m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		put := make(chan int)
		go func() { put <- post(s, "/v1/items", `{"id":"a","text":"x"}`).Code }()
		<-m.enter
		closed := make(chan error)
		go func() { closed <- s.Close(context.Background()) }()
		synctest.Wait()
		if w := post(s, "/v1/items", `{"id":"b","text":"x"}`); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("while closing: %d %s", w.Code, w.Body)
		}
		m.leave <- struct{}{}
		if code := <-put; code != 200 || index.items["a"].ID == "" {
			t.Errorf("accepted before: %d", code)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m.enter, m.leave = make(chan struct{}), make(chan struct{})
		s, err := New(index, m, Options{Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		put := make(chan int)
		go func() { put <- post(s, "/v1/items", `{"id":"c","text":"x"}`).Code }()
		<-m.enter
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close of a busy server: %v", err)
		}
		if code := <-put; code != 503 || index.items["c"].ID != "" {
			t.Errorf("broken off: %d", code)
		}
	})
}

var _ search.Index = (*fakeIndex)(nil)
