package layers_test

import (
	"fmt"
	"log"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Layers are declared in a scope, which names their parameters, and applied to
// the nodes of a graph.
func Example() {
	s := graph.NewScope(graph.Seed(1))
	block := layers.NewBlock(s.Sub("layers", 0), layers.BlockConfig{
		Width: 8, Hidden: 32, Heads: 2, Act: op.GELU, Eps: 1e-5, Init: graph.Normal(0.02),
	})
	if err := s.Err(); err != nil {
		log.Fatal(err)
	}
	for p := range s.Params().All() {
		if p.Shape().Dims() == 2 {
			fmt.Println(p.Name, p.Shape())
		}
	}
	_, err := graph.Compile(func(b *graph.Builder) {
		x := b.Input("x", 2, 5, 8) // (B, N, D)
		fmt.Println(block.Forward(b, x, nil).Shape())
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// layers.0.self_attn.q_proj.weight (8, 8)
	// layers.0.self_attn.k_proj.weight (8, 8)
	// layers.0.self_attn.v_proj.weight (8, 8)
	// layers.0.self_attn.out_proj.weight (8, 8)
	// layers.0.mlp.fc1.weight (32, 8)
	// layers.0.mlp.fc2.weight (8, 32)
	// (2, 5, 8)
}
