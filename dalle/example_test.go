package dalle_test

import (
	"context"
	"fmt"
	"log"

	"tessera/dalle"
	"tessera/graph"
	"tessera/layers/sample"
)

// A text repeated gives several images; equal seeds give equal ones. A VQ-VAE
// draws their tokens.
func Example() {
	c := dalle.Small()
	c.TextVocab, c.Padding = 50, 49
	m, err := dalle.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	text := []int{7, 3, 9}
	images, err := m.Generate(context.Background(), [][]int{text, text}, dalle.GenerateOptions{
		Sampler:  sample.Sampler{Temperature: 0.9, TopK: 100},
		Guidance: 3,
		Seed:     7,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(images), "images of", len(images[0]), "tokens")
	// Output: 2 images of 49 tokens
}
