package embed_test

import (
	"context"
	"fmt"
	"log"

	"tessera/clip/embed"
)

// A folder with a model, its preprocessing and its tokenizer is all that texts
// need to become vectors.
func Example() {
	m, err := embed.Open("../../testdata/clip/tiny", embed.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	vectors, err := m.Texts(context.Background(), []string{"a cat", "a dog in the snow"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(vectors), "vectors of", m.Dim())
	// Output:
	// 2 vectors of 32
}
