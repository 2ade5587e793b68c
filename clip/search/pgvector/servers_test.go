//go:build servers

package pgvector_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tessera/clip/search"
	"tessera/clip/search/pgvector"
	"tessera/clip/search/searchtest"
)

// database gives the URL of a server: the one of TESSERA_POSTGRES, or PGlite,
// which is PostgreSQL compiled to WebAssembly, from the folder TESSERA_PGLITE.
func database(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("TESSERA_POSTGRES"); url != "" {
		return url
	}
	dir := os.Getenv("TESSERA_PGLITE")
	if dir == "" {
		t.Skip("no PostgreSQL with pgvector: neither TESSERA_POSTGRES nor TESSERA_PGLITE is set; see testdata/search-servers.sh")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command("node", filepath.Join("node_modules", "@electric-sql", "pglite-socket", "dist", "scripts", "server.js"),
		fmt.Sprint("--port=", port), "--host=127.0.0.1", "--max-connections=8", "-e", "@electric-sql/pglite-pgvector:vector")
	var log strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for range 600 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			// All connections share one session, so names of prepared
			// statements would clash.
			return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&default_query_exec_mode=exec", port)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("PGlite is not ready after 60 s")
	return ""
}

func TestServer(t *testing.T) {
	url := database(t)
	tables := 0
	stamp := time.Now().UnixNano() // a server that stays keeps tables of other runs
	open := func(o pgvector.Options) func(*testing.T) search.Index {
		return func(t *testing.T) search.Index {
			tables++
			o := o
			o.URL, o.Table, o.Dim, o.Model = url, fmt.Sprintf("items_%d_%d", stamp, tables), 24, "m"
			x, err := pgvector.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
	}
	t.Run("exact", func(t *testing.T) { searchtest.Run(t, open(pgvector.Options{})) })
	t.Run("HNSW", func(t *testing.T) { searchtest.Run(t, open(pgvector.Options{HNSW: true})) })
	t.Run("all", func(t *testing.T) {
		x, err := pgvector.Open(t.Context(), pgvector.Options{URL: url, Table: fmt.Sprintf("all_%d", stamp), Dim: 4, Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		searchtest.All(t, x, 2500)
	})
	t.Run("again", func(t *testing.T) {
		again(t, pgvector.Options{URL: url, Table: fmt.Sprintf("again_%d", stamp), Dim: 32, Model: "it's; \\ $1"})
	})
}

// again shows that an index stays, that it refuses other models, and that HNSW
// finds most of what a scan does.
func again(t *testing.T, o pgvector.Options) {
	if _, err := pgvector.Open(t.Context(), pgvector.Options{URL: o.URL, Table: o.Table}); err == nil || !strings.Contains(err.Error(), "there is no table") {
		t.Errorf("a table that is not there, without a width: error %v", err)
	}
	x, err := pgvector.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	items := make([]search.Item, 1500)
	for i := range items {
		items[i] = search.Item{ID: fmt.Sprint("item ", i), ImageVector: searchtest.Unit(rng, o.Dim), TextVector: searchtest.Unit(rng, o.Dim), Meta: map[string]any{"half": i % 2}}
	}
	start := time.Now()
	if err := x.Put(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	t.Logf("indexed %d items of %d values in %v", len(items), o.Dim, time.Since(start).Round(time.Millisecond))
	var queries []search.Query
	for i := range 24 {
		q := search.Query{Terms: []search.Term{{Vector: searchtest.Unit(rng, o.Dim), Kind: search.Texts, Weight: 1}}, In: search.Images, K: 10}
		if i%2 == 1 {
			q.Filter = search.Filter{{Key: "half", Op: search.Equal, Value: 1}}
		}
		queries = append(queries, q)
	}
	ask := func(x search.Index) (all [][]search.Hit) {
		t.Helper()
		for _, q := range queries {
			hits, err := x.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, hits)
		}
		return all
	}
	before := ask(x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	reopened, err := pgvector.Open(t.Context(), pgvector.Options{URL: o.URL, Table: o.Table})
	if err != nil {
		t.Fatal(err)
	}
	defer reopened.Close()
	if !reflect.DeepEqual(ask(reopened), before) {
		t.Error("the hits differ after the index was opened again")
	}
	for _, tt := range []struct {
		name, says string
		dim        int
		model      string
	}{{"another model", "was made with model it's", o.Dim, "other"}, {"another width", "holds vectors of 32 values, not 48", 48, o.Model}} {
		_, err := pgvector.Open(t.Context(), pgvector.Options{URL: o.URL, Table: o.Table, Dim: tt.dim, Model: tt.model})
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.says)
		}
	}
	if _, err := pgvector.Open(t.Context(), pgvector.Options{URL: o.URL, Table: "pg_class", Dim: 32, Model: "m"}); err == nil || !strings.Contains(err.Error(), "is no search index") {
		t.Errorf("a table of somebody else: error %v", err)
	}

	o.HNSW = true
	h, err := pgvector.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	same, total := 0, 0
	for i, hits := range ask(h) {
		if len(hits) != queries[i].K {
			t.Errorf("HNSW gives %d hits, want %d", len(hits), queries[i].K)
		}
		want := map[string]bool{}
		for _, w := range before[i] {
			want[w.ID] = true
			total++
		}
		for _, g := range hits {
			if want[g.ID] {
				same++
			}
		}
	}
	t.Logf("recall@10 of HNSW: %.3f", float64(same)/float64(total))
	if same*20 < total*19 {
		t.Errorf("HNSW finds %d of %d", same, total)
	}
}
