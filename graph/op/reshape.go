package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Reshape gives the elements of x in another shape of the same size. One entry
// of the shape may be −1: it is what the others leave. The result never shares
// memory with x.
func Reshape(x *G.Node, shape ...int) (*G.Node, error) {
	to, err := reshaped(x.Shape(), shape)
	if err != nil {
		return nil, err
	}
	from := x.Shape()
	return apply(spec{
		name:    "reshape",
		outputs: []tensor.Shape{to},
		forward: compute{copied[float32], copied[float64]},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(Reshape(grad, from...))
		},
	}, x)
}

// reshaped fills in the entry of a shape that is −1 and checks the size.
func reshaped(from tensor.Shape, shape []int) (tensor.Shape, error) {
	to, rest, size := tensor.Shape(shape).Clone(), -1, 1
	for i, n := range shape {
		switch {
		case n >= 0:
			size *= n
		case n == -1 && rest < 0:
			rest = i
		default:
			return nil, errors.Errorf("%v is not a shape with at most one -1", tensor.Shape(shape))
		}
	}
	total := from.TotalSize()
	if rest >= 0 && size > 0 && total%size == 0 {
		to[rest] = total / size
		size = total
	}
	if len(shape) == 0 || size != total || rest >= 0 && to[rest] < 0 {
		return nil, errors.Errorf("%v with %d elements cannot have the shape %v", from, total, tensor.Shape(shape))
	}
	return to, nil
}

// StopGradient gives x and keeps gradients from it.
func StopGradient(x *G.Node) (*G.Node, error) {
	return apply(spec{
		name:    "stop_gradient",
		outputs: []tensor.Shape{x.Shape()},
		forward: compute{copied[float32], copied[float64]},
	}, x)
}

func copied[T kernel.Float](out, in [][]T) {
	kernel.CopyRows(1, len(out[0]), out[0], 0, in[0], 0)
}

// one is the gradients of an operation with a single input.
func one(n *G.Node, err error) (G.Nodes, error) { return G.Nodes{n}, err }
