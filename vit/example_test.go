package vit_test

import (
	"fmt"
	"log"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/vit"
)

// A model owns its parameters; a graph around them classifies a batch.
func Example() {
	c, err := vit.Preset("small32")
	if err != nil {
		log.Fatal(err)
	}
	c.SetLabels([]string{"cat", "dog"})
	m, err := vit.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Params().Size(), "parameters,", m.Tokens(), "tokens")

	prog, err := graph.Compile(func(b *graph.Builder) {
		images := b.Input("image", 4, m.Channels, m.ImageSize, m.ImageSize)
		b.Output("probs", b.Softmax(m.Logits(b, images)))
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer prog.Close()
	images := tensor.New(tensor.WithShape(4, 3, 32, 32), tensor.Of(tensor.Float32))
	if err := prog.Run(graph.Values{"image": images}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("probabilities", prog.Output("probs").Shape())
	// Output:
	// 147650 parameters, 17 tokens
	// probabilities (4, 2)
}
