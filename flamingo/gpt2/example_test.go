package gpt2_test

import (
	"context"
	"fmt"
	"log"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/layers/sample"
)

// A prompt repeated is continued in several ways; equal seeds give equal texts.
func Example() {
	c := gpt2.Small()
	c.VocabSize, c.Context, c.Width, c.Layers, c.Heads = 50, 16, 32, 2, 4
	m, err := gpt2.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	prompt := []int{7, 3, 9}
	texts, err := m.Generate(context.Background(), [][]int{prompt, prompt}, gpt2.GenerateOptions{
		MaxTokens: 5,
		Sampler:   sample.Sampler{Temperature: 0.9, TopK: 40},
		Seed:      1,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(texts), "texts of", len(texts[0]), "tokens")
	// Output: 2 texts of 5 tokens
}
