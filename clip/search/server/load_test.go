package server

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tessera/clip/embed"
	"tessera/clip/search"
)

const loadClients = 200

// TestLoad has 200 clients ask at once for a second. TESSERA_LOAD makes it
// longer ("60s"), and TESSERA_MODEL names the folder of a CLIP model to take in
// place of one that only waits:
//
//	TESSERA_LOAD=60s TESSERA_MODEL=DIR go test -v -run TestLoad ./clip/search/server
func TestLoad(t *testing.T) {
	d := time.Second
	if s := os.Getenv("TESSERA_LOAD"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	var model search.Embedder = &fakeModel{each: 20 * time.Millisecond}
	if dir := os.Getenv("TESSERA_MODEL"); dir != "" {
		m, err := embed.Open(dir, embed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		model = m
	}
	index, err := search.Open(filepath.Join(t.TempDir(), "items"), search.Options{Dim: model.Dim(), Model: model.Model()})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if err := index.Put(t.Context(), randomItems(2000, model.Dim())); err != nil {
		t.Fatal(err)
	}
	alone := oneByOne(t, model, min(d, 10*time.Second))
	t.Logf("one text after another, without HTTP: %.0f/s", alone)
	_, h := start(t, index, model, Options{})
	for _, route := range []struct{ path, body string }{
		{"/v1/embeddings", `{"input":"%s","encoding_format":"base64"}`},
		{"/v1/search", `{"terms":[{"text":"%s"}]}`},
	} {
		start := time.Now()
		times, busy := load(t, h.URL+route.path, route.body, d)
		rate := float64(len(times)) / time.Since(start).Seconds()
		t.Logf("%s by %d clients for %v: %.0f/s, %.1f times one after another; p50 %v, p90 %v, p99 %v, most %v; %d told to wait",
			route.path, loadClients, d, rate, rate/alone, search.Percentile(times, 50).Round(time.Millisecond), search.Percentile(times, 90).Round(time.Millisecond),
			search.Percentile(times, 99).Round(time.Millisecond), search.Percentile(times, 100).Round(time.Millisecond), busy)
		if len(times)+busy < loadClients {
			t.Errorf("%d answers for %d clients", len(times)+busy, loadClients)
		}
		if route.path == "/v1/embeddings" && rate < 3*alone && os.Getenv("TESSERA_MODEL") == "" {
			t.Errorf("%.0f requests/s, want 3 times the %.0f of one after another", rate, alone)
		}
	}
}

// oneByOne embeds texts alone for a while, and gives their number a second.
func oneByOne(t *testing.T, model search.Embedder, d time.Duration) float64 {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	start, n := time.Now(), 0
	for ; n < 20 || time.Since(start) < d; n++ {
		if n == 20 {
			start = time.Now() // what is made on first use is made
		}
		if _, err := model.Texts(context.Background(), []string{phrase(rng)}); err != nil {
			t.Fatal(err)
		}
	}
	return float64(n-20) / time.Since(start).Seconds()
}

// load asks with all clients for a while. It gives the times of good answers and
// the number of 429; any other answer is an error of the test.
func load(t *testing.T, url, body string, d time.Duration) (times []time.Duration, busy int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadClients}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(d)
	for i := range loadClients {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			for time.Now().Before(end) {
				start := time.Now()
				r, err := client.Post(url, "application/json", strings.NewReader(fmt.Sprintf(body, phrase(rng))))
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(r.Body)
				r.Body.Close()
				took := time.Since(start)
				mu.Lock()
				switch {
				case err == nil && r.StatusCode == http.StatusOK:
					times = append(times, took)
				case r.StatusCode == http.StatusTooManyRequests:
					busy++
				default:
					t.Errorf("status %d, %v: %s", r.StatusCode, err, b)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return times, busy
}

// phrase is a text that hardly comes twice.
func phrase(rng *rand.Rand) string {
	words := strings.Fields("a an the red green blue small large happy old cat dog house car tree face hand sun flag of with and near under two three")
	out := make([]string, 4+rng.IntN(6))
	for i := range out {
		out[i] = words[rng.IntN(len(words))]
	}
	return strings.Join(out, " ")
}

func randomItems(n, dim int) []search.Item {
	rng := rand.New(rand.NewPCG(3, 3))
	items := make([]search.Item, n)
	for i := range items {
		v, norm := make([]float32, dim), 0.0
		for k := range v {
			v[k] = float32(rng.NormFloat64())
			norm += float64(v[k]) * float64(v[k])
		}
		for k := range v {
			v[k] /= float32(math.Sqrt(norm))
		}
		items[i] = search.Item{ID: fmt.Sprint(i), Text: phrase(rng), ImageVector: v}
	}
	return items
}
