package search

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"tessera/clip/search/internal/score"
)

// cloud draws unit vectors around centres beside a common mean, as those of a
// model lie.
func cloud(rng *rand.Rand, n, dim, centres int) [][]float32 {
	mean := gauss(rng, dim)
	cs := make([][]float64, centres)
	for i := range cs {
		cs[i] = gauss(rng, dim)
	}
	vectors := make([][]float32, n)
	for i := range vectors {
		v, c := gauss(rng, dim), cs[rng.IntN(centres)]
		for j := range v {
			v[j] = mean[j] + c[j] + 0.5*v[j]
		}
		normalize(v)
		vectors[i] = narrow(v)
	}
	return vectors
}

// gauss draws a vector of about unit length.
func gauss(rng *rand.Rand, dim int) []float64 {
	v := make([]float64, dim)
	for i := range v {
		v[i] = rng.NormFloat64() / math.Sqrt(float64(dim))
	}
	return v
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func openAt(t testing.TB, path string, o Options) *File {
	t.Helper()
	f := must(Open(path, o))(t)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

const testDim = 12

// randomItem has an image, a text, or both, and some metadata.
func randomItem(rng *rand.Rand, id string, images, texts [][]float32) Item {
	it := Item{ID: id, Meta: map[string]any{"n": float64(rng.IntN(10)), "tags": []any{"a", fmt.Sprint(rng.IntN(3))}}}
	kind := rng.IntN(4)
	if kind != 0 {
		it.Image, it.ImageVector = id+".png", images[rng.IntN(len(images))]
	}
	if kind != 1 {
		it.Text, it.TextVector = "text of "+id, texts[rng.IntN(len(texts))]
	}
	if rng.IntN(5) == 0 {
		it.Meta = nil
	} else if rng.IntN(2) == 0 {
		it.Meta["colour"] = []string{"red", "blue"}[rng.IntN(2)]
	}
	return it
}

func randomQuery(rng *rand.Rand, images, texts [][]float32) Query {
	q := Query{K: 1 + rng.IntN(30)}
	q.In = []Modality{Either, Either, Either, Images, Texts}[rng.IntN(5)]
	q.Fusion = []Fusion{"", Raw, Centred, Standardized, Reciprocal}[rng.IntN(5)]
	for range 1 + rng.IntN(3) {
		t := Term{Vector: images[rng.IntN(len(images))], Kind: Images, Weight: 1 + rng.Float64()}
		if rng.IntN(2) == 0 {
			t.Vector, t.Kind = texts[rng.IntN(len(texts))], Texts
		}
		if len(q.Terms) > 0 && rng.IntN(3) == 0 {
			t.Weight /= -4
		}
		q.Terms = append(q.Terms, t)
	}
	for _, c := range []Condition{{"n", Less, 7}, {"colour", NotEqual, "red"}, {"tags", Equal, "1"}, {"colour", Exists, nil}} {
		if rng.IntN(6) == 0 {
			q.Filter = append(q.Filter, c)
		}
	}
	if rng.IntN(6) == 0 {
		least := 0.1
		q.MinScore = &least
	}
	return q
}

// same compares hits with those of the oracle. Items may change places where
// scores are equal but for rounding.
func same(t *testing.T, p Precision, o oracle, q Query, hits []Hit) {
	t.Helper()
	tolerance := 2e-6
	if p == Int8 && q.Fusion == Standardized {
		tolerance = 3e-2 // the deviation is that of 8 bits
	}
	want := o.search(q)
	if len(hits) != len(want) {
		t.Fatalf("%+v: %d hits, want %d", q, len(hits), len(want))
	}
	for i, h := range hits {
		it := o[h.ID]
		if math.Abs(h.Score-want[i].score) > tolerance {
			t.Fatalf("%s in %q, filter %v: hit %d is %s with score %.9g, want %s with %.9g", q.Fusion, q.In, q.Filter, i, h.ID, h.Score, want[i].id, want[i].score)
		}
		if h.Image != it.Image || h.Text != it.Text || !reflect.DeepEqual(h.Meta, it.Meta) {
			t.Fatalf("hit %s is %+v, want %+v", h.ID, h.Item, it)
		}
		if (h.ImageCosine == nil) != (it.ImageVector == nil) || (h.TextCosine == nil) != (it.TextVector == nil) {
			t.Fatalf("hit %s has cosines %v and %v", h.ID, h.ImageCosine, h.TextCosine)
		}
		v := must(q.Vector())(t)
		if c := h.ImageCosine; c != nil && math.Abs(*c-score.Product(v, it.ImageVector)) > 1e-6 {
			t.Fatalf("hit %s: cosine of the image %g, want %g", h.ID, *c, score.Product(v, it.ImageVector))
		}
	}
}

// TestOracle changes indexes at random, in turn opening them again, and compares
// all they say with an index without any art.
func TestOracle(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name  string
		o     Options
		limit int // items
	}{
		{"float32", Options{}, 1500},
		// So few that all are scored again.
		{"int8", Options{Precision: Int8}, 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 8))
			images, texts := cloud(rng, 700, testDim, 9), cloud(rng, 700, testDim, 9)
			path := filepath.Join(t.TempDir(), "odd?name #1%.db")
			o := tt.o
			o.Dim, o.Model = testDim, "model"
			f := must(Open(path, o))(t)
			items := oracle{}
			for step := range 40 {
				switch rng.IntN(6) {
				case 0, 1, 2:
					var put []Item
					for range rng.IntN(200) {
						if id := fmt.Sprint("item", rng.IntN(tt.limit)); len(items) < tt.limit || items[id].ID != "" {
							it := randomItem(rng, id, images, texts)
							put = append(put, it)
							items[id] = it
						}
					}
					if err := f.Put(ctx, put); err != nil {
						t.Fatal(err)
					}
				case 3:
					var ids []string
					want := 0
					for range rng.IntN(60) {
						id := fmt.Sprint("item", rng.IntN(tt.limit))
						ids = append(ids, id)
						if _, ok := items[id]; ok {
							want++
						}
						delete(items, id)
					}
					if n := must(f.Delete(ctx, ids))(t); n != want {
						t.Fatalf("step %d: %d deleted, want %d", step, n, want)
					}
				case 4:
					if err := f.Close(); err != nil {
						t.Fatal(err)
					}
					f = must(Open(path, tt.o))(t)
				case 5:
					ids := []string{"unknown"}
					var want []Item
					for range 20 {
						id := fmt.Sprint("item", rng.IntN(tt.limit))
						ids = append(ids, id)
						if it, ok := items[id]; ok {
							want = append(want, it)
						}
					}
					if got := must(f.Get(ctx, ids))(t); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
						t.Fatalf("step %d: got %v, want %v", step, got, want)
					}
				}
				for range 8 {
					q := randomQuery(rng, images, texts)
					same(t, tt.o.Precision, items, q, must(f.Search(ctx, q))(t))
				}
			}
			var ids []string
			for it, err := range f.All(ctx) {
				ids = append(ids, must(it, err)(t).ID)
			}
			if want := slices.Sorted(maps.Keys(items)); !slices.Equal(ids, want) {
				t.Errorf("all: %d items, want %d", len(ids), len(want))
			}
			info := must(f.Info(ctx))(t)
			want := Info{Model: "model", Dim: testDim, Items: len(items), Bytes: info.Bytes}
			for _, it := range items {
				if it.ImageVector != nil {
					want.Images++
				}
				if it.TextVector != nil {
					want.Texts++
				}
			}
			if info != want || info.Bytes < int64(4*testDim*(info.Images+info.Texts)) {
				t.Errorf("info %+v, want %+v", info, want)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSameHits gives two indexes the same items by different ways.
func TestSameHits(t *testing.T) {
	ctx := context.Background()
	for _, p := range []Precision{Float32, Int8} {
		rng := rand.New(rand.NewPCG(9, 10))
		// Fewer vectors than items: many scores are equal.
		images, texts := cloud(rng, 300, testDim, 4), cloud(rng, 300, testDim, 4)
		var items []Item
		for i := range 3000 {
			items = append(items, randomItem(rng, fmt.Sprint(i), images, texts))
		}
		o := Options{Dim: testDim, Model: "m", Precision: p}
		a, b := openAt(t, filepath.Join(t.TempDir(), "a"), o), openAt(t, filepath.Join(t.TempDir(), "b"), o)
		if err := a.Put(ctx, items); err != nil {
			t.Fatal(err)
		}
		var other, gone []Item
		for _, i := range rng.Perm(len(items)) {
			it := randomItem(rng, fmt.Sprint("gone", i), images, texts)
			other, gone = append(other, it, items[i]), append(gone, it)
		}
		for chunk := range slices.Chunk(other, 1000) {
			if err := b.Put(ctx, chunk); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for _, it := range gone {
			ids = append(ids, it.ID)
		}
		if n := must(b.Delete(ctx, ids))(t); n != len(ids) {
			t.Fatalf("%d deleted, want %d", n, len(ids))
		}
		for range 60 {
			q := randomQuery(rng, images, texts)
			want := must(a.Search(ctx, q))(t)
			before := runtime.GOMAXPROCS(1)
			got := must(b.Search(ctx, q))(t)
			runtime.GOMAXPROCS(before)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, %s in %q: the same items, other hits:\n%v\n%v", p, q.Fusion, q.In, summary(got), summary(want))
			}
		}
	}
}

func summary(hits []Hit) (s []string) {
	for _, h := range hits {
		s = append(s, fmt.Sprintf("%s:%v", h.ID, h.Score))
	}
	return s
}
