package search

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// cloud draws unit vectors around centres, as those of a model lie: texts near
// one mean and images near another.
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

func gauss(rng *rand.Rand, dim int) []float64 {
	v := make([]float64, dim)
	for i := range v {
		v[i] = rng.NormFloat64() / math.Sqrt(float64(dim))
	}
	return v
}

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "odd?name #1%.db")
	f, err := Open(path, Options{Dim: 8, Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	vs := cloud(rng, 20, 8, 3)
	var items []Item
	for i := range 10 {
		items = append(items, Item{ID: fmt.Sprint("i", i), Image: "x.png", Text: "a cat", Meta: map[string]any{"n": i}, ImageVector: vs[i], TextVector: vs[10+i]})
	}
	if err := f.Put(ctx, items); err != nil {
		t.Fatal(err)
	}
	for _, fu := range []Fusion{Raw, Centred, Standardized, Reciprocal} {
		hits, err := f.Search(ctx, Query{Terms: []Term{{vs[3], Images, 1}}, K: 3, Fusion: fu})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			t.Log(fu, h.ID, h.Score, *h.ImageCosine, *h.TextCosine, h.Meta)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err = Open(path, Options{})
	t.Log(err)
	t.Log(f.Info(ctx))
	_, err = Open(path, Options{})
	t.Log(err)
	r, err := Open(path, Options{ReadOnly: true})
	t.Log(r.Info(ctx))
	t.Log(r.Close())
	_, err = Open(path, Options{Dim: 9, ReadOnly: true})
	t.Log(err)
	n, err := f.Delete(ctx, []string{"i3", "i3", "nope"})
	t.Log(n, err)
	t.Log(f.Close())
}
