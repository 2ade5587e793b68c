package flamingo_test

import (
	"context"
	"fmt"
	"log"

	"tessera/flamingo"
	"tessera/flamingo/gpt2"
	"tessera/graph"
)

// A text about two images goes on after the second. What a tower makes of an
// image are here zeros.
func Example() {
	text := gpt2.Small()
	text.VocabSize, text.Context, text.Width, text.Layers, text.Heads = 50, 16, 32, 2, 4
	c := flamingo.For(text, 24)
	c.Resampler = flamingo.ResamplerConfig{Depth: 1, Latents: 4, Heads: 4, HeadWidth: 8, Mult: 4}
	c.Cross = flamingo.CrossConfig{Heads: 4, HeadWidth: 8, Mult: 4}
	m, err := flamingo.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	image := flamingo.Image{Frames: 1, Patches: make([]float32, 9*c.Vision)}
	prompt := flamingo.Sequence{
		IDs:    []int{c.Media, 7, 3, c.EndChunk, c.Media, 7},
		Images: []flamingo.Image{image, image},
	}
	texts, err := m.Generate(context.Background(), []flamingo.Sequence{prompt}, flamingo.GenerateOptions{MaxTokens: 1, Beams: 2})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(texts), "text")

	prompt.Images = prompt.Images[:1]
	_, err = m.Generate(context.Background(), []flamingo.Sequence{prompt}, flamingo.GenerateOptions{})
	fmt.Println(err)
	// Output:
	// 1 text
	// prompt 0: flamingo: 2 media tokens for 1 images, want one before what is said of each
}
