package weaviate_test

import (
	"context"
	"fmt"
	"log"

	"tessera/clip/search"
	"tessera/clip/search/weaviate"
)

// Three nodes hold two copies of every item; any one of them may be down.
func Example() {
	ctx := context.Background()
	index, err := weaviate.Open(ctx, weaviate.Options{
		URLs:  []string{"http://a:8080", "http://b:8080", "http://c:8080"},
		Class: "Photos", Dim: 512, Model: "sha256:…", Replicas: 2,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()
	var shoe []float32 // (512), from the text tower
	hits, err := index.Search(ctx, search.Query{
		Terms:  []search.Term{{Vector: shoe, Kind: search.Texts, Weight: 1}},
		Filter: search.Filter{{Key: "colour", Op: search.Equal, Value: "red"}},
		K:      10,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hits {
		fmt.Println(h.Score, h.Image)
	}
}
