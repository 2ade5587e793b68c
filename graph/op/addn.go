package op

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// AddN gives the sum of nodes of equal shape.
func AddN(xs ...*G.Node) (*G.Node, error) {
	if len(xs) == 0 {
		return nil, errors.New("no summands")
	}
	for _, x := range xs[1:] {
		if !slices.Equal(x.Shape(), xs[0].Shape()) {
			return nil, errors.Errorf("summands %v and %v differ in shape", xs[0].Shape(), x.Shape())
		}
	}
	return apply(spec{
		name:    "add",
		outputs: []tensor.Shape{xs[0].Shape()},
		forward: compute{addN[float32], addN[float64]},
		backward: func(in G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			ds := make(G.Nodes, len(in))
			for i := range ds {
				ds[i] = grad
			}
			return ds, nil
		},
	}, xs...)
}

func addN[T kernel.Float](out, in [][]T) { kernel.Sum(out[0], in...) }
