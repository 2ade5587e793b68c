//go:build servers

package weaviate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"tessera/clip/search"
	"tessera/clip/search/searchtest"
	"tessera/clip/search/weaviate"
)

// A node is a server of its own on this machine.
type node struct {
	url string
	cmd *exec.Cmd
}

// cluster starts n nodes and waits until they are one.
func cluster(t *testing.T, n int) []node {
	t.Helper()
	binary := os.Getenv("TESSERA_WEAVIATE")
	if binary == "" {
		var err error
		if binary, err = exec.LookPath("weaviate-server"); err != nil {
			t.Skip("no Weaviate: TESSERA_WEAVIATE is not set and weaviate-server is not in PATH; see testdata/search-servers.sh")
		}
	}
	ports := make([]int, n) // the first of six: HTTP, gRPC, gossip, data, Raft twice
	raft := ""
	for i := range ports {
		ports[i] = free(t, 6)
		if i > 0 {
			raft += ","
		}
		raft += fmt.Sprintf("node%d:%d", i, ports[i]+4)
	}
	nodes := make([]node, n)
	for i, p := range ports {
		dir := t.TempDir()
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "--scheme", "http", "--host", "127.0.0.1", "--port", fmt.Sprint(p))
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
		cmd.Env = []string{
			"HOME=" + dir, "DISABLE_TELEMETRY=true", "GO_PROFILING_DISABLE=true", "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=true",
			"DEFAULT_VECTORIZER_MODULE=none", "PERSISTENCE_DATA_PATH=" + filepath.Join(dir, "data"),
			"CLUSTER_IN_LOCALHOST=true", "CLUSTER_BIND_ADDR=127.0.0.1", "CLUSTER_ADVERTISE_ADDR=127.0.0.1",
			fmt.Sprintf("CLUSTER_HOSTNAME=node%d", i), fmt.Sprintf("GRPC_PORT=%d", p+1),
			fmt.Sprintf("CLUSTER_GOSSIP_BIND_PORT=%d", p+2), fmt.Sprintf("CLUSTER_DATA_BIND_PORT=%d", p+3),
			fmt.Sprintf("RAFT_PORT=%d", p+4), fmt.Sprintf("RAFT_INTERNAL_RPC_PORT=%d", p+5),
			"RAFT_JOIN=" + raft, fmt.Sprintf("RAFT_BOOTSTRAP_EXPECT=%d", n),
		}
		if i > 0 {
			cmd.Env = append(cmd.Env, fmt.Sprintf("CLUSTER_JOIN=127.0.0.1:%d", ports[0]+2))
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			log.Close()
			if t.Failed() {
				if b, err := os.ReadFile(log.Name()); err == nil {
					t.Logf("node %d: …%s", i, b[max(0, len(b)-2000):])
				}
			}
		})
		nodes[i] = node{fmt.Sprintf("http://127.0.0.1:%d", p), cmd}
		wait(t, "gossip of a node", func() bool { return listens(p + 2) }) // or the next cannot join
	}
	for _, n := range nodes {
		wait(t, n.url, func() bool {
			resp, err := http.Get(n.url + "/v1/.well-known/ready")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode < 300
		})
	}
	return nodes
}

// free finds n ports in a row.
func free(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := l.Addr().(*net.TCPAddr).Port
		l.Close()
		ok := p+n < 65536
		for i := 0; ok && i < n; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", p+i))
			if ok = err == nil; ok {
				l.Close()
			}
		}
		if ok {
			return p
		}
	}
	t.Fatal("no free ports")
	return 0
}

func listens(port int) bool {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 900 {
		if done() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s is not ready after 90 s", what)
}

func TestCluster(t *testing.T) {
	nodes := cluster(t, 3)
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.url)
	}
	classes := 0
	open := func(o weaviate.Options) func(*testing.T) search.Index {
		return func(t *testing.T) search.Index {
			classes++
			o := o
			o.URLs, o.Class, o.Dim, o.Model, o.Replicas = urls, fmt.Sprintf("Items_%d", classes), 24, "m", 3
			x, err := weaviate.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
	}
	t.Run("exact", func(t *testing.T) { searchtest.Run(t, open(weaviate.Options{Exact: true})) })
	t.Run("HNSW", func(t *testing.T) { searchtest.Run(t, open(weaviate.Options{})) })
	t.Run("all", func(t *testing.T) {
		x, err := weaviate.Open(t.Context(), weaviate.Options{URLs: urls, Class: "All", Dim: 4, Model: "m", Exact: true})
		if err != nil {
			t.Fatal(err)
		}
		searchtest.All(t, x, 10_500) // beyond what a search may give
		// There is one copy of each item, on any node.
		items, err := x.Get(t.Context(), []string{"item 3"})
		if err != nil || len(items) != 1 {
			t.Fatalf("Get: %v, error %v", items, err)
		}
		hits, err := x.Search(t.Context(), search.Query{Terms: []search.Term{{Vector: items[0].ImageVector, Kind: search.Images, Weight: 1}}, K: 1})
		if err != nil || len(hits) != 1 || math.Abs(*hits[0].ImageCosine-1) > 1e-5 {
			t.Errorf("Search: %+v, error %v", hits, err)
		}
	})
	t.Run("kill a node", func(t *testing.T) { kill(t, nodes, urls) })
}

// kill shows that any one of three nodes may die.
func kill(t *testing.T, nodes []node, urls []string) {
	const D, n = 64, 600
	o := weaviate.Options{URLs: urls, Class: "Kill", Dim: D, Model: "m", Replicas: 3}
	x, err := weaviate.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	items := make([]search.Item, n)
	for i := range items {
		items[i] = search.Item{ID: fmt.Sprint("item ", i), Text: fmt.Sprint("text ", i), ImageVector: searchtest.Unit(rng, D), TextVector: searchtest.Unit(rng, D),
			Meta: map[string]any{"half": i % 2}}
	}
	start := time.Now()
	if err := x.Put(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	t.Logf("indexed %d items of %d values on three nodes, three copies each, in %v", n, D, time.Since(start).Round(time.Millisecond))
	var queries []search.Query
	for i := range 10 {
		for _, f := range []search.Fusion{search.Raw, search.Centred, search.Standardized, search.Reciprocal} {
			q := search.Query{Terms: []search.Term{{Vector: searchtest.Unit(rng, D), Kind: search.Texts, Weight: 1}}, Fusion: f, K: 10}
			if i%2 == 1 {
				q.Filter = search.Filter{{Key: "half", Op: search.Equal, Value: 1}}
			}
			queries = append(queries, q)
		}
	}
	ask := func(x search.Index) (all [][]search.Hit, slowest time.Duration) {
		t.Helper()
		for _, q := range queries {
			start := time.Now()
			hits, err := x.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(hits) != q.K {
				t.Fatalf("%d hits, want %d", len(hits), q.K)
			}
			slowest = max(slowest, time.Since(start))
			all = append(all, hits)
		}
		return all, slowest
	}
	before, slowest := ask(x)
	t.Logf("%d queries, the slowest took %v", len(before), slowest.Round(time.Millisecond))
	// The node that answered, so that another must be asked.
	if err := nodes[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	nodes[0].cmd.Wait()
	after, slowest := ask(x)
	t.Logf("one node killed: %d queries, the slowest took %v", len(after), slowest.Round(time.Millisecond))
	if !reflect.DeepEqual(before, after) {
		t.Error("the hits differ once a node is gone")
	}
	again, err := weaviate.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if reopened, _ := ask(again); !reflect.DeepEqual(before, reopened) {
		t.Error("the hits differ in an index opened once a node is gone")
	}
	if info, err := again.Info(t.Context()); err != nil || info.Items != n {
		t.Errorf("%+v, error %v; want %d items", info, err, n)
	}
	fresh := search.Item{ID: "fresh", ImageVector: searchtest.Unit(rng, D)}
	wait(t, "a write to the copies that are left", func() bool { return again.Put(t.Context(), []search.Item{fresh}) == nil })
	if got, err := again.Get(t.Context(), []string{"fresh"}); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], fresh) {
		t.Errorf("Get after a write to the copies that are left: %v, error %v", got, err)
	}
	if n, err := again.Delete(t.Context(), []string{"fresh", "item 0"}); err != nil || n != 2 {
		t.Errorf("Delete: %d, error %v", n, err)
	}
}
