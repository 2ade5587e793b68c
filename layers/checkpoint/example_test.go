package checkpoint_test

import (
	"fmt"
	"log"

	"tessera/graph"
	"tessera/layers"
	"tessera/layers/checkpoint"
)

// Stored tensors become a layer, by their names.
func Example() {
	stored, err := checkpoint.OpenSafetensors("../../testdata/vit/tiny/model.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer stored.Close()
	s := graph.NewScope(graph.NewTensors(stored.Path, stored.Entries()))
	head := layers.NewLinear(s.Sub("classifier"), 48, 10, graph.Zeros)
	if err := s.Err(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(head.Weight.Name, head.Weight.Value.Shape())
	// Output:
	// classifier.weight (10, 48)
}
