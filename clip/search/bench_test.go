package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// BenchmarkSearch answers queries over clustered vectors. TESSERA_ITEMS is the
// number of items, 100,000 if unset.
func BenchmarkSearch(b *testing.B) {
	n, dim := 100_000, 512
	if s := os.Getenv("TESSERA_ITEMS"); s != "" {
		n = must(strconv.Atoi(s))(b)
	}
	ctx := context.Background()
	for _, kind := range []struct {
		name  string
		texts bool
	}{{"images", false}, {"both", true}} {
		if kind.texts && n > 200_000 {
			continue
		}
		path := filepath.Join(b.TempDir(), "index")
		fill(b, path, n, dim, kind.texts)
		rng := rand.New(rand.NewPCG(5, 6))
		queries := must(Open(path, Options{ReadOnly: true, Precision: Int8}))(b)
		var vectors [][]float32
		for range 200 {
			it := must(queries.Get(ctx, []string{fmt.Sprint(rng.IntN(n))}))(b)[0]
			v := gauss(rng, dim)
			for j := range v {
				v[j] = 0.6*v[j] + float64(it.ImageVector[j])
			}
			normalize(v)
			vectors = append(vectors, narrow(v))
		}
		queries.Close()
		fusions := []Fusion{Raw}
		if kind.texts {
			fusions = []Fusion{Raw, Centred, Standardized, Reciprocal}
		}
		var exact [][][]Hit // by fusion
		for _, p := range []Precision{Float32, Int8} {
			if p == Float32 && n > 200_000 {
				continue
			}
			var before, after runtime.MemStats
			collect()
			runtime.ReadMemStats(&before)
			start := time.Now()
			f := must(Open(path, Options{Precision: p}))(b)
			opened := time.Since(start)
			collect()
			runtime.ReadMemStats(&after)
			for i, fusion := range fusions {
				ask := func(v []float32) []Hit {
					return must(f.Search(ctx, Query{Terms: []Term{{v, Texts, 1}}, Fusion: fusion, K: 10}))(b)
				}
				b.Run(fmt.Sprintf("n=%d/dim=%d/%s/fusion=%s/precision=%s", n, dim, kind.name, fusion, p), func(b *testing.B) {
					ask(vectors[0])
					b.ResetTimer()
					for i := range b.N {
						ask(vectors[i%len(vectors)])
					}
					b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/query")
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(opened.Seconds(), "s-open")
					b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-memory")
					b.ReportMetric(float64(size(path))/1e6, "MB-file")
					if p == Int8 && len(exact) > i {
						recall := 0.
						for j, v := range vectors {
							var ids []string
							for _, h := range ask(v) {
								ids = append(ids, h.ID)
							}
							relevant := map[string]float64{}
							for _, h := range exact[i][j] {
								relevant[h.ID] = 1
							}
							recall += Recall(ids, relevant, 10) / float64(len(vectors))
						}
						b.ReportMetric(recall, "recall@10")
					}
				})
				if p == Float32 {
					var all [][]Hit
					for _, v := range vectors {
						all = append(all, ask(v))
					}
					exact = append(exact, all)
				}
			}
			f.Close()
		}
	}
}

// collect frees what is no longer used; what lies in a pool takes two rounds.
func collect() {
	runtime.GC()
	runtime.GC()
}

func fill(b *testing.B, path string, n, dim int, texts bool) {
	rng := rand.New(rand.NewPCG(1, 2))
	f := must(Open(path, Options{Dim: dim, Model: "bench", Precision: Int8}))(b)
	defer f.Close()
	const batch = 5000
	mean := gauss(rng, dim)
	centres := make([][]float64, 500)
	for i := range centres {
		centres[i] = gauss(rng, dim)
	}
	draw := func() []float32 {
		c := centres[rng.IntN(len(centres))]
		v := make([]float64, dim)
		for j := range v {
			// Uniform numbers are quicker and as round in so many dimensions.
			v[j] = mean[j] + c[j] + (rng.Float64()-0.5)*0.07
		}
		normalize(v)
		return narrow(v)
	}
	start := time.Now()
	for lo := 0; lo < n; lo += batch {
		var items []Item
		for i := lo; i < min(n, lo+batch); i++ {
			it := Item{ID: fmt.Sprint(i), Image: fmt.Sprintf("images/%d.jpg", i), Meta: map[string]any{"price": i % 100}, ImageVector: draw()}
			if texts {
				it.Text, it.TextVector = "a caption", draw()
			}
			items = append(items, it)
		}
		if err := f.Put(context.Background(), items); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("filled in %v", time.Since(start))
}
