package clip_test

import (
	"fmt"
	"log"

	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/clip/bpe"
)

// An image is classified by the names of classes that were never trained: their
// prompts become embeddings, and the nearest one names the image.
func Example() {
	const dir = "../testdata/clip/tiny"
	m, err := clip.Load(dir, clip.LoadOptions{})
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := bpe.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	e := clip.NewEncoder(m)
	defer e.Close()

	encode := func(text string) []int {
		return tokens.Pad(tokens.Encode(text), m.Config.Text.Context)
	}
	classes, err := e.ZeroShot([]string{"cat", "dog", "horse"}, []string{"a photo of a {}", "a drawing of a {}"}, encode)
	if err != nil {
		log.Fatal(err)
	}
	v := m.Config.Vision
	images := tensor.New(tensor.WithShape(1, v.Channels, v.ImageSize, v.ImageSize), tensor.Of(tensor.Float32))
	embedding, err := e.Images(images) // (1, E)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(classes)/m.ProjectionDim, "classes in a space of", m.ProjectionDim)
	fmt.Println(len(e.Probabilities(embedding, classes)), "probabilities")
	// Output:
	// 3 classes in a space of 32
	// 3 probabilities
}
