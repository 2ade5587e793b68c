package server

import (
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

	"github.com/pkg/errors"

	"tessera/clip/embed"
	"tessera/clip/search"
)

const loadClients = 200

// TestLoad has 200 clients ask at once for half a second. TESSERA_LOAD makes it
// longer ("60s"), and TESSERA_MODEL names the folder of a CLIP model to take in
// place of one that only waits:
//
//	TESSERA_LOAD=60s TESSERA_MODEL=DIR go test -v -run TestLoad ./clip/search/server
func TestLoad(t *testing.T) {
	d := 500 * time.Millisecond
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
	_, h := start(t, index, model, Options{})
	alone := oneByOne(t, min(d, 10*time.Second), func(text string) error {
		_, err := model.Texts(t.Context(), []string{text})
		return err
	})
	served := oneByOne(t, min(d, 10*time.Second), func(text string) error {
		if r := send(t, "POST", h.URL+"/v1/embeddings", fmt.Sprintf(`{"input":"%s"}`, text)); r.StatusCode != http.StatusOK {
			return errors.Errorf("status %d: %s", r.StatusCode, r.body)
		}
		return nil
	})
	t.Logf("one text after another: %.3g/s without HTTP, %.3g/s by one client", alone, served)
	for _, route := range []struct{ path, body string }{
		{"/v1/embeddings", `{"input":"%s","encoding_format":"base64"}`},
		{"/v1/search", `{"terms":[{"text":"%s"}]}`},
	} {
		start := time.Now()
		times, busy := load(t, h.URL+route.path, route.body, d)
		rate := float64(len(times)) / time.Since(start).Seconds()
		t.Logf("%s by %d clients for %v: %.3g/s, %.1f times the model alone, %.1f times one client; p50 %v, p90 %v, p99 %v, most %v; %d told to wait",
			route.path, loadClients, d, rate, rate/alone, rate/served, search.Percentile(times, 50).Round(time.Millisecond), search.Percentile(times, 90).Round(time.Millisecond),
			search.Percentile(times, 99).Round(time.Millisecond), search.Percentile(times, 100).Round(time.Millisecond), busy)
		if len(times)+busy < loadClients {
			t.Errorf("%d answers for %d clients", len(times)+busy, loadClients)
		}
	}
}

// oneByOne embeds a text after another for a while, and gives their number a
// second.
func oneByOne(t *testing.T, d time.Duration, embed func(text string) error) float64 {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	start, n := time.Now(), 0
	for warm := false; n == 0 || time.Since(start) < d; n++ {
		if !warm && n == 20 { // what is made on first use is made
			warm, start, n = true, time.Now(), 0
		}
		if err := embed(phrase(rng)); err != nil {
			t.Fatal(err)
		}
	}
	return float64(n) / time.Since(start).Seconds()
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
			for first := true; first || time.Now().Before(end); first = false {
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
