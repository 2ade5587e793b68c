package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"tessera/clip/search"
)

// fake is a node that answers with what the test says, by method and path.
func fake(t *testing.T, answers map[string]func(w http.ResponseWriter, body string)) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, err := io.ReadAll(r.Body)
		answer := answers[r.Method+" "+r.URL.Path]
		if err != nil || answer == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answer(w, string(body))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// says answers with a status and a body.
func says(status int, body string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

const class = "GET /v1/schema/Items"

var about4 = says(200, `{"class": "Items", "description": "{\"model\":\"m\",\"dim\":4}"}`)

func down(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	return s.URL
}

func TestOpen(t *testing.T) {
	good, _ := fake(t, map[string]func(http.ResponseWriter, string){class: about4})
	absent, _ := fake(t, nil)
	foreign, _ := fake(t, map[string]func(http.ResponseWriter, string){class: says(200, `{"class": "Items", "description": "my shoes"}`)})
	broken, _ := fake(t, map[string]func(http.ResponseWriter, string){class: says(500, `{"error": [{"message": "no leader"}]}`)})
	malformed, _ := fake(t, map[string]func(http.ResponseWriter, string){class: says(200, `<html>`)})
	locked, asked := fake(t, map[string]func(http.ResponseWriter, string){class: says(401, `{"code": 401, "message": "anonymous access not enabled"}`)})
	for _, tt := range []struct {
		name string
		o    Options
		want string // part of the error, "" for none
	}{
		{"opens what exists", Options{URLs: []string{good}, Class: "Items"}, ""},
		{"of the same model", Options{URLs: []string{good}, Class: "Items", Dim: 4, Model: "m"}, ""},
		{"skips a node that is down", Options{URLs: []string{down(t), good}, Class: "Items"}, ""},
		{"skips a node that fails", Options{URLs: []string{broken, good + "/"}, Class: "Items"}, ""},
		{"skips a node that is something else", Options{URLs: []string{malformed, good}, Class: "Items"}, ""},
		{"refuses another model", Options{URLs: []string{good}, Class: "Items", Model: "n"}, "class Items was made with model m, not n"},
		{"refuses another width", Options{URLs: []string{good}, Class: "Items", Dim: 5}, "holds vectors of 4 values, not 5"},
		{"refuses what is no index", Options{URLs: []string{foreign}, Class: "Items"}, "no search index"},
		{"needs a model to create", Options{URLs: []string{absent}, Class: "Items", Dim: 4}, "there is no class Items"},
		{"tells which nodes are down", Options{URLs: []string{down(t), broken}, Class: "Items"}, "refused"},
		{"tells what a node said", Options{URLs: []string{broken}, Class: "Items"}, "status 500: no leader"},
		{"tells of a malformed answer", Options{URLs: []string{malformed}, Class: "Items"}, `not an answer of Weaviate: "<html>"`},
		{"takes no for an answer", Options{URLs: []string{locked, good}, Class: "Items"}, "status 401: anonymous access not enabled"},
		{"checks the class", Options{URLs: []string{good}, Class: "items) {x}"}, "want a capital"},
		{"checks URLs", Options{URLs: []string{"localhost:8080"}, Class: "Items"}, "want http://host:port"},
		{"wants a URL", Options{Class: "Items"}, "no URL"},
		{"wants a width above 0", Options{URLs: []string{good}, Class: "Items", Dim: -1}, "none below 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, err := Open(t.Context(), tt.o)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.want == "" && x.about != about{"m", 4}:
				t.Errorf("the index says %+v", x.about)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if asked.Load() != 1 {
		t.Errorf("the node that refuses was asked %d times", asked.Load())
	}
}

func TestCreate(t *testing.T) {
	var made string
	var token atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token.Store(r.Header.Get("Authorization"))
		switch {
		case r.Method == http.MethodPost:
			var c struct {
				Description string `json:"description"`
			}
			if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
				t.Error(err)
			}
			made = c.Description
			// As if another program had made it a moment before.
			says(422, `{"error":[{"message":"class name Items already exists"}]}`)(w, "")
		case made == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			json.NewEncoder(w).Encode(map[string]string{"description": made})
		}
	}))
	defer s.Close()
	x, err := Open(t.Context(), Options{URLs: []string{s.URL}, Class: "Items", Dim: 3, Model: `a "model"`, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (about{`a "model"`, 3}); x.about != want {
		t.Errorf("the index says %+v, want %+v", x.about, want)
	}
	if token.Load() != "Bearer secret" {
		t.Errorf("authorization %q", token.Load())
	}
}

func open4(t *testing.T, answers ...map[string]func(http.ResponseWriter, string)) (*Index, []*atomic.Int64) {
	t.Helper()
	o := Options{Class: "Items"}
	var asked []*atomic.Int64
	for _, a := range answers {
		a[class] = about4
		url, n := fake(t, a)
		o.URLs, asked = append(o.URLs, url), append(asked, n)
	}
	x, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return x, asked
}

var one = search.Item{ID: "a", ImageVector: []float32{1, 0, 0, 0}}

func TestWrites(t *testing.T) {
	const objects = "POST /v1/batch/objects"
	ok := says(200, `[{"id": "1", "result": {"status": "SUCCESS"}}]`)
	for _, tt := range []struct {
		name          string
		first, second func(http.ResponseWriter, string)
		want          string
	}{
		{"goes to the first node", ok, says(500, ""), ""},
		{"goes to the next when one fails", says(503, "busy"), ok, ""},
		{"goes to the next when one breaks off", says(200, `[{"id": `), ok, ""},
		{"an object fails everywhere", says(200, `[{"id": "1", "result": {"status": "FAILED", "errors": {"error": [{"message": "no space"}]}}}]`), says(500, "x"), "object 1: FAILED no space"},
		{"objects are missing in the answer", says(200, `[]`), says(200, `[]`), "about 0 objects, want 1"},
		{"a refusal", says(422, `{"error":[{"message":"bad"}]}`), ok, "status 422: bad"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, _ := open4(t, map[string]func(http.ResponseWriter, string){objects: tt.first}, map[string]func(http.ResponseWriter, string){objects: tt.second})
			err := x.Put(t.Context(), []search.Item{one})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDeleteIsNotSentTwice(t *testing.T) {
	const objects = "DELETE /v1/batch/objects"
	x, asked := open4(t,
		map[string]func(http.ResponseWriter, string){objects: says(502, "lost")},
		map[string]func(http.ResponseWriter, string){objects: says(200, `{"results": {"matches": 1, "successful": 1}}`)})
	if n, err := x.Delete(t.Context(), []string{"a"}); err == nil || n != 0 || !strings.Contains(err.Error(), "502") {
		t.Errorf("Delete: %d, error %v", n, err)
	}
	if asked[1].Load() != 0 {
		t.Error("a second node was asked")
	}
	x.urls[0] = down(t) // nothing was sent: the next may be asked
	if n, err := x.Delete(t.Context(), []string{"a"}); err != nil || n != 1 {
		t.Errorf("Delete: %d, error %v", n, err)
	}
	if n, err := x.Delete(t.Context(), nil); err != nil || n != 0 {
		t.Errorf("Delete of nothing: %d, error %v", n, err)
	}
}

func TestSearchAnswers(t *testing.T) {
	const graphql = "POST /v1/graphql"
	object := func(id, meta, vector string) string {
		return fmt.Sprintf(`{"item": %q, "image": "", "text": "", "meta": %q, "_additional": {"id": "u", "vectors": {"image": %s}}}`, id, meta, vector)
	}
	list := func(objects ...string) func(http.ResponseWriter, string) {
		return says(200, `{"data": {"image": {"Items": [`+strings.Join(objects, ",")+`]}}}`)
	}
	q := search.Query{Terms: []search.Term{{Vector: []float32{1, 0, 0, 0}, Kind: search.Texts, Weight: 1}}, In: search.Images, K: 2}
	cheap := search.Filter{{Key: "price", Op: search.Less, Value: 10}}
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, string)
		filter search.Filter
		want   string // IDs, or an error's part after !
	}{
		{"nothing", list(), nil, ""},
		{"the nearest first", list(object("b", "", "[0,1,0,0]"), object("a", "", "[1,0,0,0]")), nil, "a b"},
		{"equal scores by ID", list(object("b", "", "[1,0,0,0]"), object("a", "", "[1,0,0,0]")), nil, "a b"},
		{"values in order are compared here", list(object("a", `{"price": 12}`, "[1,0,0,0]"), object("b", `{"price": 9}`, "[0,1,0,0]")), cheap, "b"},
		{"more is asked for until enough pass", func(w http.ResponseWriter, body string) {
			var all []string
			for i := range 400 {
				if i == 100 && strings.Contains(body, "limit: 100,") {
					break
				}
				all = append(all, object(fmt.Sprint(i+1000), fmt.Sprintf(`{"price": %d}`, 400-i), "[1,0,0,0]"))
			}
			list(all...)(w, body)
		}, cheap, "1391 1392"},
		{"an error", says(200, `{"errors": [{"message": "shard is gone"}]}`), nil, "!shard is gone"},
		{"no JSON", says(200, `{"data": {"image": [`), nil, "!not an answer of Weaviate"},
		{"a vector of another width", list(object("a", "", "[1,0,0]")), nil, "!object u"},
		{"metadata that is none", list(object("a", "[1]", "[1,0,0,0]")), nil, "!object u: metadata"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, _ := open4(t, map[string]func(http.ResponseWriter, string){graphql: tt.answer})
			q := q
			q.Filter = tt.filter
			hits, err := x.Search(t.Context(), q)
			if why, fails := strings.CutPrefix(tt.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), why) {
					t.Errorf("error %v, want one with %q", err, why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, h := range hits {
				ids = append(ids, h.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("hits %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	x, asked := open4(t, map[string]func(http.ResponseWriter, string){}, map[string]func(http.ResponseWriter, string){})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Info(ctx); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v", err)
	}
	if asked[1].Load() != 0 {
		t.Error("the next node was asked although nobody waits")
	}
}

func TestCountsAreRead(t *testing.T) {
	x, _ := open4(t, map[string]func(http.ResponseWriter, string){"POST /v1/graphql": says(200,
		`{"data": {"items": {"Items": [{"count": {"count": 3}}]}, "images": {"Items": [{"count": {"count": 2}}]}, "texts": {"Items": []}}}`)})
	if info, err := x.Info(t.Context()); err == nil || info.Items != 3 || info.Images != 2 {
		t.Errorf("%+v, error %v; want an error about the texts", info, err)
	}
}

// TestAll lists more than one answer holds.
func TestAll(t *testing.T) {
	uuids := func(i int) string { return fmt.Sprintf("%08x-0000-5000-8000-000000000000", i+1) }
	object := func(i int) string {
		return fmt.Sprintf(`{"id": %q, "properties": {"item": "item %d", "text": "t", "meta": "{\"n\": %d}", "marks": ["x"]}}`, uuids(i), i, i)
	}
	answer := func(objects []string) string { return `{"objects": [` + strings.Join(objects, ",") + `]}` }
	for _, tt := range []struct {
		name  string
		n     int
		odd   string // what the last answer is
		says  string // part of the error
		stop  int    // items after which the reader has enough, 0 for never
		asked int64
	}{
		{name: "none", n: 0, asked: 1},
		{name: "one", n: 1, asked: 1},
		{name: "a whole answer", n: 1000, asked: 2},
		{name: "more", n: 2345, asked: 3},
		{name: "no more than wanted", n: 2345, stop: 3, asked: 1},
		{name: "the same list twice", n: 1000, odd: answer([]string{object(1)}), says: "does not go on from " + uuids(999), asked: 2},
		{name: "what is no item", n: 1000, odd: answer([]string{`{"id": "ffffffff-0000-5000-8000-000000000000", "properties": {"item": ""}}`}), says: "is no item", asked: 2},
		{name: "metadata that is none", n: 1000, odd: answer([]string{`{"id": "ffffffff-0000-5000-8000-000000000000", "properties": {"item": "a", "meta": "["}}`}), says: "metadata", asked: 2},
		{name: "no JSON", n: 1000, odd: "<html>", says: "not an answer of Weaviate", asked: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/objects" {
					about4(w, "")
					return
				}
				asked++
				q := r.URL.Query()
				if q.Get("class") != "Items" || q.Get("limit") != "1000" {
					t.Errorf("asked for %v", q)
				}
				var page []string
				for i := 0; i < tt.n && len(page) < 1000; i++ {
					if uuids(i) > q.Get("after") {
						page = append(page, object(i))
					}
				}
				if len(page) == 0 && tt.odd != "" {
					fmt.Fprint(w, tt.odd)
					return
				}
				fmt.Fprint(w, answer(page))
			}))
			defer s.Close()
			x, err := Open(t.Context(), Options{URLs: []string{s.URL}, Class: "Items"})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			var failed error
			for it, err := range x.All(t.Context()) {
				if failed = err; err != nil {
					continue
				}
				if want := fmt.Sprint("item ", n); it.ID != want || it.Text != "t" || it.Meta["n"] != float64(n) {
					t.Fatalf("item %d is %+v", n, it)
				}
				if n++; n == tt.stop {
					break
				}
			}
			want := tt.n
			if tt.stop > 0 {
				want = tt.stop
			}
			if n != want || asked != tt.asked {
				t.Errorf("%d items in %d answers, want %d in %d", n, asked, want, tt.asked)
			}
			if (failed != nil) != (tt.says != "") || failed != nil && !strings.Contains(failed.Error(), tt.says) {
				t.Errorf("error %v, want %q", failed, tt.says)
			}
		})
	}
}

func TestMarks(t *testing.T) {
	it := search.Item{ID: "a", ImageVector: []float32{1}, Meta: map[string]any{
		"n": 3, "zero": 0, "s": " x", "list": []any{"p", 4.0, []any{"q"}}, "map": map[string]any{"k": 1},
	}}
	_, marks, err := metadata(it)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, m := range marks {
		has[m] = true
	}
	for _, tt := range []struct {
		key   string
		value any // nil: the key is there
		want  bool
	}{
		{"n", 3, true}, {"n", 3.0, true}, {"n", float32(3), true}, {"n", int64(3), true}, {"n", "3", false}, {"n", 4, false},
		{"s", " x", true}, {"s", "x", false}, {"list", "p", true}, {"list", 4, true}, {"list", "q", false},
		{"map", nil, true}, {"k", nil, false}, {"list", nil, true}, {"p", nil, false}, {"nothing", nil, false},
		{"zero", 0, true}, {"zero", math.Copysign(0, -1), true}, {"zero", false, false},
	} {
		c := search.Condition{Key: tt.key, Op: search.Equal, Value: tt.value}
		if tt.value == nil {
			c.Op = search.Exists
		}
		on, rest, err := where(search.Filter{c})
		if err != nil || len(rest) > 0 {
			t.Fatalf("%v: %d conditions left, error %v", c, len(rest), err)
		}
		found := false
		for m := range has {
			found = found || strings.Contains(on, m)
		}
		if found != tt.want || search.Filter.Match(search.Filter{c}, it.Meta) != tt.want {
			t.Errorf("%v: marked %v, matched %v, want %v", c, found, search.Filter.Match(search.Filter{c}, it.Meta), tt.want)
		}
	}
}

// FuzzAnswers feeds bytes to all that reads answers of a node.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"data": {"image": {"Items": [{"item": "a", "meta": "{\"n\": 1}", "_additional": {"id": "u", "vectors": {"image": [1,0], "text": null}}}]}}}`))
	f.Add([]byte(`{"data": {"items": {"Items": [{"count": {"count": 3}}]}}, "errors": [{"message": "x"}]}`))
	f.Add([]byte(`[{"id": "1", "result": {"status": "FAILED", "errors": {"error": [{"message": "no"}]}}}]`))
	f.Add([]byte(`{"error": [{"message": "x"}]}`))
	f.Fuzz(func(t *testing.T, got []byte) {
		if message(got) == "" {
			t.Error("an error without words")
		}
		if readPut(got, 1) == nil && !strings.Contains(string(got), "SUCCESS") {
			t.Errorf("%q counts as success", got)
		}
		g, err := readGraph(got)
		if err != nil {
			return
		}
		for _, byClass := range g.Data {
			for _, objects := range byClass {
				count(objects)
				for _, o := range objects {
					if it, err := o.item(2); err == nil && it.Validate(2) != nil {
						t.Errorf("an invalid item: %+v", it)
					}
				}
			}
		}
	})
}
