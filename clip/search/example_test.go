package search_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"tessera/clip/search"
)

// Vectors of four elements stand for those of a model.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	index, err := search.Open(filepath.Join(dir, "shop.index"), search.Options{Dim: 4, Model: "sha256 of the model"})
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()
	err = index.Put(ctx, []search.Item{
		{ID: "boot", Text: "a boot", Meta: map[string]any{"price": 90}, TextVector: []float32{0.8, 0.6, 0, 0}},
		{ID: "shoe", Text: "a shoe", Meta: map[string]any{"price": 50}, TextVector: []float32{1, 0, 0, 0}},
		{ID: "hat", Text: "a hat", Meta: map[string]any{"price": 20}, TextVector: []float32{0, 0, 0.6, 0.8}},
	})
	if err != nil {
		log.Fatal(err)
	}
	hits, err := index.Search(ctx, search.Query{
		Terms:  []search.Term{{Vector: []float32{1, 0, 0, 0}, Kind: search.Texts, Weight: 1}},
		In:     search.Texts,
		K:      2,
		Filter: search.Filter{{Key: "price", Op: search.Less, Value: 100}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hits {
		fmt.Printf("%s %.2f\n", h.Text, h.Score)
	}
	// Output:
	// a shoe 1.00
	// a boot 0.80
}
