package op

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Expand repeats x to a shape by the rules of NumPy: shapes are aligned at
// their last axes, and x is repeated along axes where it has size 1 or none.
func Expand(x *G.Node, shape ...int) (*G.Node, error) {
	s, err := broadcastShape(x.Shape(), shape)
	if err != nil || !slices.Equal(s, shape) {
		return nil, errors.Errorf("shape %v cannot be repeated to %v", x.Shape(), tensor.Shape(shape))
	}
	return expand(x, x.Shape(), s, 1)
}

// expand repeats x, seen with shape from, to the shape to, and scales it.
func expand(x *G.Node, from, to tensor.Shape, scale float64) (*G.Node, error) {
	by, shape := kernel.NewBroadcast(to, from, to), x.Shape()
	return apply(spec{
		name:    "expand",
		outputs: []tensor.Shape{to},
		forward: compute{expanded[float32](scale, by), expanded[float64](scale, by)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(reduce(grad, from, shape, scale))
		},
	}, x)
}

func expanded[T kernel.Float](scale float64, by kernel.Broadcast) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Expand(out[0], in[0], scale, by) }
}

// broadcastShape is the shape that operands of shapes a and b have in common.
func broadcastShape(a, b tensor.Shape) (tensor.Shape, error) {
	if a.Dims() < b.Dims() {
		a, b = b, a
	}
	s, lead := a.Clone(), a.Dims()-b.Dims()
	for i, n := range b {
		switch m := s[lead+i]; {
		case m == n, n == 1:
		case m == 1:
			s[lead+i] = n
		default:
			return nil, errors.Errorf("shapes %v and %v do not broadcast: sizes %d and %d differ", a, b, m, n)
		}
	}
	return s, nil
}
