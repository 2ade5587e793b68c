package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tessera/clip/search"
)

// bomb is the beginning of a PNG file of w×h pixels.
func bomb(w, h uint32) []byte {
	head := []byte("IHDR")
	head = binary.BigEndian.AppendUint32(head, w)
	head = binary.BigEndian.AppendUint32(head, h)
	head = append(head, 8, 6, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(head))
}

func TestRefusals(t *testing.T) {
	_, index := gallery(t)
	_, h := start(t, index, &fakeModel{}, Options{Queue: 8, MaxK: 50, MaxBody: 100_000, MaxPixels: 1_000_000})
	const vectors15 = `[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]`
	damaged := disc(colors["red"], 60, 60)
	damaged = damaged[:len(damaged)/2]
	for _, tt := range []struct {
		method, path, body string
		status             int
		code, message      string // part of it
	}{
		{"GET", "/nothing", "", 404, "not_found", "/nothing"},
		{"GET", "/v1/search", "", 405, "method_not_allowed", "POST"},
		{"PUT", "/v1/items/a", "", 405, "method_not_allowed", "DELETE and GET"},
		{"POST", "/", "", 405, "method_not_allowed", "GET"},
		{"POST", "/v1/search", "", 400, "malformed_json", "empty"},
		{"POST", "/v1/search", `{"terms":[`, 400, "malformed_json", "ends early"},
		{"POST", "/v1/search", `{"terms":}`, 400, "malformed_json", "byte 10"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}]} true`, 400, "malformed_json", "more after"},
		{"POST", "/v1/search", `[]`, 400, "invalid_type", "the body is a JSON array, want an object"},
		{"POST", "/v1/search", strings.Repeat("[", 50_000), 400, "malformed_json", "byte"},
		{"POST", "/v1/search", `{"query":"x"}`, 400, "unknown_field", "query"},
		{"POST", "/v1/search", `{"terms":[{"txt":"x"}]}`, 400, "unknown_field", "txt"},
		{"POST", "/v1/search", `{"terms":[{"text":3}]}`, 400, "invalid_type", "terms.text is a JSON number, want a string"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"k":1.5}`, 400, "invalid_type", "k is a JSON number 1.5, want an integer"},
		{"POST", "/v1/search", `{}`, 400, "invalid_value", "without terms"},
		{"POST", "/v1/search", `{"terms":[{}]}`, 400, "invalid_value", "terms[0]"},
		{"POST", "/v1/search", `{"terms":[{"text":"x","image":"y"}]}`, 400, "invalid_value", "terms[0]: want either"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"},{"text":""}]}`, 400, "invalid_value", "terms[1].text is empty"},
		{"POST", "/v1/search", `{"terms":[{"text":"x","weight":0}]}`, 400, "invalid_value", "weight 0"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"},{"text":"x","weight":-1}]}`, 400, "invalid_value", "cancel"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"k":0}`, 400, "invalid_value", "0 hits"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"k":51}`, 400, "invalid_value", "at most 50"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"in":"sound"}`, 400, "invalid_value", "sound"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"fusion":"cold"}`, 400, "invalid_value", "cold"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"filter":[{"key":"a","op":"~","value":1}]}`, 400, "invalid_value", "~"},
		{"POST", "/v1/search", `{"terms":[{"text":"x"}],"filter":[{"key":"a","op":"=","value":{}}]}`, 400, "invalid_value", "filter"},
		{"POST", "/v1/search", `{"terms":[{"image":"http://example.com/x.png"}]}`, 400, "invalid_value", "want a data URL"},
		{"POST", "/v1/search", `{"terms":[{"image":"data:image/png;base64,!"}]}`, 400, "invalid_value", "terms[0].image: illegal base64"},
		{"POST", "/v1/search", `{"terms":[{"image":"data:image/png;base64,AAAA"}]}`, 400, "invalid_value", "no JPEG"},
		{"POST", "/v1/search", `{"terms":[{"image":"` + dataURL(damaged) + `"}]}`, 400, "invalid_value", "could not be decoded"},
		{"POST", "/v1/search", `{"terms":[{"image":"` + dataURL(bomb(60_000, 60_000)) + `"}]}`, 413, "too_many_pixels", "60000×60000"},
		{"POST", "/v1/search", `{"terms":[{"image":"` + dataURL(bomb(0, 5)) + `"}]}`, 400, "invalid_value", "image"},
		{"POST", "/v1/search", `{"terms":[{"text":"` + strings.Repeat("x", 100_000) + `"}]}`, 413, "body_too_large", "100000 bytes"},
		{"POST", "/v1/search", `{"terms":[{"text":"` + strings.Repeat("x", 40_000) + `"}]}`, 413, "text_too_long", "terms[0].text has 40000"},
		{"POST", "/v1/items", `{"id":"long","text":"` + strings.Repeat("x", 40_000) + `"}`, 413, "text_too_long", "long"},
		{"POST", "/v1/embeddings", `{}`, 400, "invalid_value", "input is missing"},
		{"POST", "/v1/embeddings", `{"input":[]}`, 400, "invalid_value", "empty list"},
		{"POST", "/v1/embeddings", `{"input":""}`, 400, "invalid_value", "input.text is empty"},
		{"POST", "/v1/embeddings", `{"input":[1,2]}`, 400, "invalid_value", "input[0] is 1"},
		{"POST", "/v1/embeddings", `{"input":null}`, 400, "invalid_value", "input is null"},
		{"POST", "/v1/embeddings", `{"input":[{"sound":"x"}]}`, 400, "unknown_field", "input[0].sound"},
		{"POST", "/v1/embeddings", `{"input":["data:image/png;base64,AAAA"]}`, 400, "invalid_value", "input[0].image"},
		{"POST", "/v1/embeddings", `{"input":"x","encoding_format":"hex"}`, 400, "invalid_value", "encoding_format"},
		{"POST", "/v1/embeddings", `{"input":"x","dimensions":3}`, 400, "invalid_value", "have 16"},
		{"POST", "/v1/embeddings", `{"input":["1","2","3","4","5","6","7","8","9"]}`, 413, "too_many_inputs", "at most 8"},
		{"POST", "/v1/items", `7`, 400, "invalid_type", "want an object"},
		{"POST", "/v1/items", `[{"id":"a","text":"x"},7]`, 400, "invalid_type", "number"},
		{"POST", "/v1/items", `{"id":"a"}`, 400, "invalid_value", "neither"},
		{"POST", "/v1/items", `{"text":"a"}`, 400, "invalid_value", "without an ID"},
		{"POST", "/v1/items", `{"id":"` + strings.Repeat("i", 1025) + `","text":"a"}`, 400, "invalid_value", "1025 bytes"},
		{"POST", "/v1/items", `{"id":"a","text_vector":` + vectors15 + `}`, 400, "invalid_value", "15 elements"},
		{"POST", "/v1/items", `[{"id":"a","text":"x"},{"id":"a","text":"y"}]`, 400, "invalid_value", "twice"},
		{"POST", "/v1/items", `{"id":"a","image":"photo.jpg"}`, 400, "invalid_value", "want a data URL"},
		{"POST", "/v1/items", `{"id":"a","text":"x","extra":1}`, 400, "unknown_field", "extra"},
		{"GET", "/v1/heatmap/red?text=x", "", 404, "no_heatmaps", ""},
		{"GET", "/v1/thumbnail/red", "", 404, "no_image", ""},
	} {
		t.Run(fmt.Sprintf("%s %s %.50s", tt.method, tt.path, tt.body), func(t *testing.T) {
			r := send(t, tt.method, h.URL+tt.path, tt.body)
			if r.StatusCode != tt.status || r.code() != tt.code || !strings.Contains(string(r.body), tt.message) {
				t.Errorf("%d %s, want %d %s with %q", r.StatusCode, r.body, tt.status, tt.code, tt.message)
			}
		})
	}
	if len(index.items) != 4 {
		t.Errorf("%d items after refusals, want 4", len(index.items))
	}
}

func TestToken(t *testing.T) {
	_, index := gallery(t)
	_, h := start(t, index, &fakeModel{}, Options{Token: "s3cret"})
	for _, tt := range []struct {
		path, header string
		want         int
	}{
		{"/v1/info", "", 401}, {"/v1/info", "Bearer wrong", 401}, {"/v1/info", "s3cret", 401}, {"/v1/info", "Basic s3cret", 401},
		{"/v1/info", "Bearer s3cret", 200}, {"/v1/info", "bearer s3cret", 200},
		{"/metrics", "", 401}, {"/metrics", "Bearer s3cret", 200}, {"/v1/items/red", "", 401}, {"/nothing", "", 401},
		{"/", "", 200}, {"/page.js", "", 200}, {"/healthz", "", 200},
	} {
		r := send(t, "GET", h.URL+tt.path, "", "Authorization", tt.header)
		if r.StatusCode != tt.want {
			t.Errorf("%s with %q: %d, want %d", tt.path, tt.header, r.StatusCode, tt.want)
		}
		if tt.want == 401 && (r.code() != "invalid_token" || r.Header.Get("WWW-Authenticate") == "") {
			t.Errorf("%s: %v %s", tt.path, r.Header, r.body)
		}
	}
}

func TestForeignPages(t *testing.T) {
	_, index := gallery(t)
	_, h := start(t, index, &fakeModel{}, Options{Hosts: []string{"search.example"}})
	address := strings.TrimPrefix(h.URL, "http://")
	const query = `{"terms":[{"text":"red"}]}`
	for _, tt := range []struct {
		name   string
		header []string
		want   int
	}{
		{"a program", nil, 200},
		{"our page", []string{"Origin", h.URL, "Sec-Fetch-Site", "same-origin"}, 200},
		{"another site", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another port", []string{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, 403},
		{"another site in an old browser", []string{"Origin", "https://evil.example"}, 403},
		{"a page without origin", []string{"Origin", "null"}, 403},
		{"a name that points here", []string{"Host", "evil.example", "Origin", "http://evil.example"}, 403},
		{"a name that points here, with our port", []string{"Host", "evil.example:" + address[strings.LastIndex(address, ":")+1:]}, 403},
		{"localhost", []string{"Host", "localhost:99"}, 200},
		{"IPv6", []string{"Host", "[::1]:99"}, 200},
		{"a name of ours", []string{"Host", "SEARCH.example"}, 200},
	} {
		if r := send(t, "POST", h.URL+"/v1/search", query, tt.header...); r.StatusCode != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, r.StatusCode, r.body, tt.want)
		}
	}
	if r := send(t, "DELETE", h.URL+"/v1/items/red", "", "Sec-Fetch-Site", "cross-site"); r.StatusCode != 403 || len(index.items) != 4 {
		t.Errorf("delete by another site: %d", r.StatusCode)
	}
	if r := send(t, "GET", h.URL+"/v1/items/red", "", "Host", "evil.example"); r.StatusCode != 403 || r.code() != "unknown_host" {
		t.Errorf("read by a name that points here: %d %s", r.StatusCode, r.body)
	}
}

// zeros is a body that tells how much of it was read.
type zeros struct{ left, read atomic.Int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left.Load() == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left.Load())
	clear(p[:n])
	z.left.Add(-n)
	z.read.Add(n)
	return int(n), nil
}

func TestLargeBody(t *testing.T) {
	_, h := start(t, newIndex(), &fakeModel{}, Options{MaxBody: 1 << 20})
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprint("announced ", announced), func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			body := &zeros{}
			body.left.Store(1 << 30)
			r, _ := http.NewRequest("POST", h.URL+"/v1/items", body)
			if announced {
				r.ContentLength = 1 << 30
			}
			// The server may close the connection while the client still writes; what
			// counts is that it stopped reading, and the recorder below sees its answer.
			if res, err := http.DefaultClient.Do(r); err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("status %d, want 413", res.StatusCode)
				}
			}
			if n := body.read.Load(); n > 64<<20 {
				t.Errorf("%d bytes were taken", n)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("%d bytes were set aside", n)
			}
		})
	}
	s, _ := start(t, newIndex(), &fakeModel{}, Options{MaxBody: 1 << 20})
	for _, length := range []int64{1 << 30, -1} {
		body := &zeros{}
		body.left.Store(1 << 30)
		r := httptest.NewRequest("POST", "/v1/items", body)
		r.ContentLength = length
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if got := (reply{body: w.Body.Bytes()}).code(); w.Code != 413 || got != "body_too_large" || body.read.Load() > 2<<20 {
			t.Errorf("length %d: %d %s after %d bytes", length, w.Code, got, body.read.Load())
		}
	}
}

func TestPending(t *testing.T) {
	s, h := start(t, newIndex(), &fakeModel{}, Options{MaxPending: 1000})
	long := `{"input":"` + strings.Repeat("x", 2000) + `"}`
	if r := send(t, "POST", h.URL+"/v1/embeddings", long); r.StatusCode != 429 || r.code() != "busy" || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	for range 20 { // what was taken is given back
		if r := send(t, "POST", h.URL+"/v1/embeddings", `{"input":"`+strings.Repeat("x", 600)+`"}`); r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	if s.pending.left != 1000 {
		t.Errorf("%d bytes left, want 1000", s.pending.left)
	}
}

// Clients that send a byte now and then are cut off, and disturb no one.
func TestSlowClients(t *testing.T) {
	_, h := start(t, newIndex(), &fakeModel{}, Options{Timeout: 300 * time.Millisecond})
	address := strings.TrimPrefix(h.URL, "http://")
	gone := make(chan error)
	const clients = 20
	for i := range clients {
		go func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				gone <- err
				return
			}
			defer c.Close()
			if i%2 == 0 { // stuck in the header, or else in the body
				fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
			} else {
				fmt.Fprint(c, "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
			}
			closed := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, bufio.NewReader(c))
				closed <- err
			}()
			for end := time.After(10 * time.Second); ; {
				select {
				case <-closed:
					gone <- nil
					return
				case <-end:
					gone <- fmt.Errorf("client %d is still connected", i)
					return
				case <-time.After(20 * time.Millisecond):
					fmt.Fprint(c, " ")
				}
			}
		}()
	}
	if r := send(t, "POST", h.URL+"/v1/embeddings", `{"input":"x"}`); r.StatusCode != 200 {
		t.Errorf("beside them: %d %s", r.StatusCode, r.body)
	}
	for range clients {
		if err := <-gone; err != nil {
			t.Error(err)
		}
	}
}

// FuzzRequests sends anything to the routes that read bodies.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{`{"terms":[{"text":"x"}]}`, `{"input":["x",{"image":"` + dataURL(disc(colors["red"], 3, 3)) + `"}]}`,
		`[{"id":"a","text":"b","meta":{"c":[1]}}]`, `{"terms":[{"image":"` + dataURL(bomb(9, 9)) + `","weight":1e999}]}`} {
		f.Add([]byte(seed))
	}
	s, err := New(newIndex(search.Item{ID: "a", Text: "x", TextVector: wordVector("x")}), &fakeModel{}, Options{MaxPixels: 10_000, Window: time.Nanosecond})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/search", "/v1/items", "/v1/embeddings"} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("POST", path, bytes.NewReader(body)))
			if code := (reply{body: w.Body.Bytes()}).code(); w.Code >= 500 || w.Code != 200 && code == "" {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
