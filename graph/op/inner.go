package op

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Inner gives Σ xᵢ yᵢ over nodes of equal shape, as shape (1).
func Inner(x, y *G.Node) (*G.Node, error) {
	if !slices.Equal(x.Shape(), y.Shape()) {
		return nil, errors.Errorf("%v and %v differ in shape", x.Shape(), y.Shape())
	}
	return apply(spec{
		name:     "inner",
		outputs:  []tensor.Shape{{1}},
		forward:  compute{inner[float32], inner[float64]},
		backward: innerBackward,
	}, x, y)
}

func inner[T kernel.Float](out, in [][]T) { out[0][0] = T(kernel.Inner(in[0], in[1])) }

func innerBackward(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
	ds := make(G.Nodes, 2)
	for i := range ds {
		if !need[i] {
			continue
		}
		d, err := apply(spec{
			name:    "inner.backward",
			outputs: []tensor.Shape{in[i].Shape()},
			forward: compute{scaled[float32], scaled[float64]},
		}, in[1-i], grad)
		if err != nil {
			return nil, err
		}
		ds[i] = d
	}
	return ds, nil
}

// scaled multiplies its first input by the single number in its second.
func scaled[T kernel.Float](out, in [][]T) { kernel.Scale(out[0], in[0], in[1][0]) }
