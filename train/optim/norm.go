package optim

import (
	"math"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/kernel"
)

// Norm returns the L2 norm of all gradients taken as one vector, added up in
// float64. Gradients are float32 or float64.
func Norm(grads []graph.Grad) float64 {
	var sum float64
	for _, g := range grads {
		if g.Value.Dtype() == tensor.Float64 {
			sum += kernel.Inner(g.Value.Float64s(), g.Value.Float64s())
		} else {
			sum += kernel.Inner(g.Value.Float32s(), g.Value.Float32s())
		}
	}
	return math.Sqrt(sum)
}
