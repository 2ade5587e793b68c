package graph_test

import (
	"fmt"
	"log"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

// A parameter outlives the graphs around it: the step below, taken on the
// gradient of one program, is seen by the other.
func Example() {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("weight", graph.Constant(1), 1, 2)
	if err := s.Err(); err != nil {
		log.Fatal(err)
	}
	predict := func(b *graph.Builder) *graph.Node {
		return b.Linear(b.Input("x", 1, 2), b.Param(w), nil, op.Identity)
	}
	train, err := graph.Compile(func(b *graph.Builder) {
		b.Minimize(b.Mean(b.Square(predict(b))))
	}, &graph.Options{Training: true})
	if err != nil {
		log.Fatal(err)
	}
	eval, err := graph.Compile(func(b *graph.Builder) { b.Output("y", predict(b)) }, nil)
	if err != nil {
		log.Fatal(err)
	}

	x := graph.Values{"x": tensor.New(tensor.WithShape(1, 2), tensor.WithBacking([]float32{1, 2}))}
	if err := train.Run(x); err != nil {
		log.Fatal(err)
	}
	for _, g := range train.Grads() {
		fmt.Println(g.Param.Name, g.Value.Float32s())
		for i, d := range g.Value.Float32s() {
			g.Param.Float32s()[i] -= 0.125 * d
		}
	}
	if err := eval.Run(x); err != nil {
		log.Fatal(err)
	}
	fmt.Println(eval.Output("y").Float32s())
	// Output:
	// weight [6 12]
	// [-0.75]
}
