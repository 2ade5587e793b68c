package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Sum adds up x along axes, or all of x, giving shape (1), if none are named.
// The axes leave the shape, or stay with size 1 if keep. Sums are carried in
// float64.
func Sum(x *G.Node, keep bool, axes ...int) (*G.Node, error) {
	return sum(x, false, keep, axes)
}

// Mean is Sum divided by the number of elements in each sum.
func Mean(x *G.Node, keep bool, axes ...int) (*G.Node, error) {
	return sum(x, true, keep, axes)
}

func sum(x *G.Node, mean, keep bool, axes []int) (*G.Node, error) {
	s := x.Shape()
	if len(axes) == 0 {
		for a := range s {
			axes = append(axes, a)
		}
	}
	count, gone := 1, make([]bool, s.Dims())
	for _, a := range axes {
		if a < 0 || a >= s.Dims() || gone[a] {
			return nil, errors.Errorf("%v are not axes of shape %v", axes, s)
		}
		gone[a] = true
		count *= s[a]
	}
	var aligned, to tensor.Shape
	for a, n := range s {
		if !gone[a] {
			aligned, to = append(aligned, n), append(to, n)
			continue
		}
		aligned = append(aligned, 1)
		if keep {
			to = append(to, 1)
		}
	}
	if len(to) == 0 {
		to = tensor.Shape{1}
	}
	scale := 1.0
	if mean {
		scale /= float64(count)
	}
	return reduce(x, aligned, to, scale)
}

// reduce is the reverse of expand: it adds up x to a shape that x's broadcasts
// from, scales the sums, and gives them the shape to.
func reduce(x *G.Node, aligned, to tensor.Shape, scale float64) (*G.Node, error) {
	s := x.Shape()
	by := kernel.NewBroadcast(s, aligned, s)
	return apply(spec{
		name:    "sum",
		outputs: []tensor.Shape{to},
		forward: compute{reduced[float32](scale, by), reduced[float64](scale, by)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(expand(grad, aligned, s, scale))
		},
	}, x)
}

func reduced[T kernel.Float](scale float64, by kernel.Broadcast) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Reduce(out[0], in[0], scale, by) }
}
