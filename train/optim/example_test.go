package optim_test

import (
	"fmt"
	"log"

	"tessera/graph"
	"tessera/train/optim"
)

// A step of AdamW moves every weight by about the learning rate, against its
// gradient.
func Example() {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("weight", graph.Constant(1), 2)
	prog, err := graph.Compile(func(b *graph.Builder) {
		b.Minimize(b.Mean(b.Square(b.Param(w))))
	}, &graph.Options{Training: true})
	if err != nil {
		log.Fatal(err)
	}
	defer prog.Close()
	if err := prog.Run(nil); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("norm of the gradient %.3f\n", optim.Norm(prog.Grads()))
	var adamw optim.AdamW
	if err := adamw.Step(0.1, 1, prog.Grads()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.3f\n", w.Float32s())
	// Output:
	// norm of the gradient 1.414
	// [0.900 0.900]
}
