package vqvae_test

import (
	"fmt"
	"log"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/vqvae"
)

func Example() {
	c, err := vqvae.Preset("small28")
	if err != nil {
		log.Fatal(err)
	}
	m, err := vqvae.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	t := m.Tokenizer()
	defer t.Close()

	black := tensor.New(tensor.WithShape(2, 1, 28, 28), tensor.Of(tensor.Float32))
	tokens, err := t.Encode(black)
	if err != nil {
		log.Fatal(err)
	}
	images, err := t.Decode(tokens)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(tokens), "tokens for", images.Shape()[0], "images")
	// Output: 98 tokens for 2 images
}
