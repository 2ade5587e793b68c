package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
)

func TestDuplicates(t *testing.T) {
	ctx := context.Background()
	// More than one block of either side.
	for _, tt := range []struct {
		n, pairs int
		p        Precision
	}{{0, 0, Float32}, {1, 0, Float32}, {50, 20, Int8}, {9000, 300, Float32}} {
		rng := rand.New(rand.NewPCG(1, uint64(tt.n)))
		f := openAt(t, filepath.Join(t.TempDir(), "index"), Options{Dim: 48, Model: "m", Precision: tt.p})
		items := make([]Item, tt.n)
		for i := range items {
			v := gauss(rng, 48)
			normalize(v)
			items[i] = Item{ID: fmt.Sprintf("%05d", i), ImageVector: narrow(v), TextVector: items[i/2].ImageVector}
			if i == 0 {
				items[i].TextVector = nil
			}
		}
		parent := make([]int, tt.n) // of a tree, along which images are alike
		for i := range parent {
			parent[i] = i
		}
		for range tt.pairs {
			a, b := rng.IntN(tt.n), rng.IntN(tt.n)
			a, b = min(a, b), max(a, b)
			if parent[b] != b || a == b {
				continue
			}
			for i := b; i < tt.n; i++ {
				if parent[i] == b {
					parent[i] = parent[a]
				}
			}
			items[b].ImageVector = items[parent[a]].ImageVector
		}
		for i := range parent { // the last vector of a tree's root counts
			items[i].ImageVector = items[parent[i]].ImageVector
		}
		if err := f.Put(ctx, items); err != nil {
			t.Fatal(err)
		}
		members := map[int][]string{}
		for i, p := range parent {
			members[p] = append(members[p], items[i].ID)
		}
		var want [][]string
		for i := range parent {
			if len(members[i]) > 1 {
				want = append(want, members[i])
			}
		}
		if len(want) == 0 && tt.pairs > 0 {
			t.Fatal("nothing to find")
		}
		for _, threshold := range []float64{0.95, 1} {
			if got := must(f.Duplicates(ctx, Images, threshold))(t); !reflect.DeepEqual(got, want) {
				t.Errorf("%d items, threshold %g: %d groups, want %d", tt.n, threshold, len(got), len(want))
			}
		}
	}
}

func TestDuplicatesChain(t *testing.T) {
	ctx := context.Background()
	f := openAt(t, filepath.Join(t.TempDir(), "index"), Options{Dim: 2, Model: "m"})
	at := func(id string, x, y float32) Item { return Item{ID: id, TextVector: []float32{x, y}} }
	// Cosines of neighbours 0.8, of the ends 0.28.
	if err := f.Put(ctx, []Item{at("c", 1, 0), at("b", 0.8, 0.6), at("a", 0.28, 0.96), at("z", -1, 0)}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		in        Modality
		threshold float64
		want      [][]string
	}{
		{Texts, 0.8, [][]string{{"a", "b", "c"}}},
		{Texts, 0.801, nil},
		{Images, 0.1, nil},
	} {
		if got := must(f.Duplicates(ctx, tt.in, tt.threshold))(t); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s at %g: %v, want %v", tt.in, tt.threshold, got, tt.want)
		}
	}
	_, err := f.Duplicates(ctx, Either, 0.5)
	checkError(t, "both", err, `want "image" or "text"`)
	for _, bad := range []float64{0, 1.01, -1} {
		_, err = f.Duplicates(ctx, Images, bad)
		checkError(t, "threshold", err, "want above 0 and at most 1")
	}
}
