package searchtest

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"tessera/clip/search"
)

// All checks that x, an empty index of vectors of 4 values, lists each of n items
// once, but for two that it deletes. n should be more than one answer of a server
// holds.
func All(t *testing.T, x interface {
	search.Index
	All(context.Context) iter.Seq2[search.Item, error]
}, n int) {
	rng := rand.New(rand.NewPCG(5, 6))
	want := map[string]search.Item{}
	var items []search.Item
	for i := range n {
		it := search.Item{ID: fmt.Sprint("item ", i), Image: fmt.Sprint(i, ".png"), ImageVector: Unit(rng, 4), Meta: map[string]any{"n": float64(i)}}
		items = append(items, it)
		it.ImageVector = nil
		want[it.ID] = it
	}
	for part := range slices.Chunk(items, 2000) {
		if err := x.Put(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Delete(t.Context(), []string{"item 0", fmt.Sprint("item ", n-1)}); err != nil {
		t.Fatal(err)
	}
	delete(want, "item 0")
	delete(want, fmt.Sprint("item ", n-1))
	start := time.Now()
	for it, err := range x.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(it, want[it.ID]) {
			t.Fatalf("%+v, want %+v", it, want[it.ID])
		}
		delete(want, it.ID)
	}
	if len(want) > 0 {
		t.Errorf("%d of %d items are missing", len(want), n-2)
	}
	t.Logf("%d items listed in %v", n-2, time.Since(start).Round(time.Millisecond))
}

// Unit makes a unit vector (D) of any direction.
func Unit(rng *rand.Rand, D int) []float32 {
	x := make([]float32, D)
	sum := 0.
	for i := range x {
		x[i] = float32(rng.NormFloat64())
		sum += float64(x[i]) * float64(x[i])
	}
	for i := range x {
		x[i] /= float32(math.Sqrt(sum))
	}
	return x
}
