package pgvector_test

import (
	"context"
	"fmt"
	"log"

	"tessera/clip/search"
	"tessera/clip/search/pgvector"
)

func Example() {
	ctx := context.Background()
	index, err := pgvector.Open(ctx, pgvector.Options{
		URL:   "postgres://me@localhost/photos",
		Table: "photos", Dim: 512, Model: "sha256:…",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()
	var shoe []float32 // (512), from the text tower
	hits, err := index.Search(ctx, search.Query{
		Terms:  []search.Term{{Vector: shoe, Kind: search.Texts, Weight: 1}},
		Filter: search.Filter{{Key: "price", Op: search.Less, Value: 50}},
		K:      10,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hits {
		fmt.Println(h.Score, h.Image)
	}
}
