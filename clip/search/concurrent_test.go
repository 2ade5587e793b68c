package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestConcurrent searches while pairs of items are written, which are always
// alike: whoever sees one without the other, or a text of another write, has
// seen half of a Put.
func TestConcurrent(t *testing.T) {
	for _, p := range []Precision{Float32, Int8} {
		ctx := context.Background()
		f := openAt(t, filepath.Join(t.TempDir(), "index"), Options{Dim: testDim, Model: "m", Precision: p})
		rng := rand.New(rand.NewPCG(1, 1))
		vectors := cloud(rng, 64, testDim, 3)
		write := func(rng *rand.Rand, pair int) error {
			text, v := fmt.Sprint(rng.Uint64()), vectors[rng.IntN(len(vectors))]
			return f.Put(ctx, []Item{
				{ID: fmt.Sprintf("%d left", pair), Text: text, TextVector: v, Meta: map[string]any{"pair": pair}},
				{ID: fmt.Sprintf("%d right", pair), Text: text, TextVector: v, Meta: map[string]any{"pair": pair}},
			})
		}
		for pair := range 10 {
			if err := write(rng, pair); err != nil {
				t.Fatal(err)
			}
		}
		var stop atomic.Bool
		var searches, writes atomic.Int64
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(2, uint64(w)))
				for !stop.Load() {
					pair := rng.IntN(5)*2 + w
					if rng.IntN(4) == 0 {
						if _, err := f.Delete(ctx, []string{fmt.Sprintf("%d left", pair), fmt.Sprintf("%d right", pair)}); err != nil {
							t.Error(err)
						}
					} else if err := write(rng, pair); err != nil {
						t.Error(err)
					}
					writes.Add(1)
				}
			})
		}
		for w := range 3 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(3, uint64(w)))
				for !stop.Load() {
					hits, err := f.Search(ctx, Query{
						Terms: []Term{{vectors[rng.IntN(len(vectors))], Images, 1}}, K: 100,
						Fusion: []Fusion{Raw, Centred, Standardized, Reciprocal}[rng.IntN(4)],
					})
					if err != nil {
						t.Error(err)
						return
					}
					texts, cosines := map[any]string{}, map[any]float64{}
					for _, h := range hits {
						pair := h.Meta["pair"]
						if _, ok := texts[pair]; !ok {
							texts[pair], cosines[pair] = h.Text, *h.TextCosine
						} else if texts[pair] != h.Text || cosines[pair] != *h.TextCosine {
							t.Errorf("pair %v: texts %q and %q, cosines %g and %g", pair, texts[pair], h.Text, cosines[pair], *h.TextCosine)
						}
					}
					if len(hits) != 2*len(texts) {
						t.Errorf("%d items of %d pairs", len(hits), len(texts))
					}
					if _, err := f.Info(ctx); err != nil {
						t.Error(err)
					}
					searches.Add(1)
				}
			})
		}
		time.Sleep(700 * time.Millisecond)
		stop.Store(true)
		wg.Wait()
		if searches.Load() == 0 || writes.Load() == 0 {
			t.Errorf("%d searches and %d writes", searches.Load(), writes.Load())
		}
		t.Logf("%s: %d searches, %d writes", p, searches.Load(), writes.Load())
	}
}

// TestSearchEnds gives up when nobody waits any more.
func TestSearchEnds(t *testing.T) {
	f := openAt(t, small(t), Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := f.Search(ctx, Query{Terms: []Term{{[]float32{1, 0}, Images, 1}}, K: 5})
	checkError(t, "search", err, "context canceled")
	_, err = f.Get(ctx, []string{"a"})
	checkError(t, "get", err, "context canceled")
	_, err = f.Duplicates(ctx, Images, 0.5)
	checkError(t, "duplicates", err, "context canceled")
}
