package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Transpose reorders axes: axis i of the result is axis axes[i] of x.
func Transpose(x *G.Node, axes ...int) (*G.Node, error) {
	s := x.Shape()
	to, inverse, seen := make(tensor.Shape, len(axes)), make([]int, len(axes)), make([]bool, len(axes))
	if len(axes) != s.Dims() {
		return nil, errors.Errorf("%v does not order the %d axes of shape %v", axes, s.Dims(), s)
	}
	for i, a := range axes {
		if a < 0 || a >= s.Dims() || seen[a] {
			return nil, errors.Errorf("%v does not order the %d axes of shape %v", axes, s.Dims(), s)
		}
		to[i], inverse[a], seen[a] = s[a], i, true
	}
	p := kernel.NewPermutation(s, axes)
	return apply(spec{
		name:    "transpose",
		outputs: []tensor.Shape{to},
		forward: compute{permuted[float32](p), permuted[float64](p)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(Transpose(grad, inverse...))
		},
	}, x)
}

func permuted[T kernel.Float](p kernel.Permutation) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Permute(out[0], in[0], p) }
}
