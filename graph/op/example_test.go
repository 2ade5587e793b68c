package op_test

import (
	"fmt"
	"log"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/op"
)

// Operations are Gorgonia's: they add nodes to its graphs and report shapes that
// do not fit.
func Example() {
	g := G.NewGraph()
	x := G.NewTensor(g, tensor.Float32, 3, G.WithShape(2, 5, 8), G.WithName("x"))
	w := G.NewTensor(g, tensor.Float32, 2, G.WithShape(4, 8), G.WithName("w"))
	y, err := op.Linear(x, w, nil, op.LinearConfig{Act: op.GELU})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(y.Shape())
	_, err = op.MatMul(x, w, false, false)
	fmt.Println(err)
	// Output:
	// (2, 5, 4)
	// (2, 5, 8) × (4, 8): inner sizes 8 and 4 differ
}
