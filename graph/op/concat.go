package op

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Concat joins nodes along an axis; their other sizes are equal.
func Concat(axis int, xs ...*G.Node) (*G.Node, error) {
	if len(xs) == 0 {
		return nil, errors.New("nothing to concatenate")
	}
	first := xs[0].Shape()
	if axis < 0 || axis >= first.Dims() {
		return nil, errors.Errorf("shape %v has no axis %d", first, axis)
	}
	to, widths := first.Clone(), make([]int, len(xs))
	to[axis] = 0
	for i, x := range xs {
		s := x.Shape().Clone()
		if s.Dims() == first.Dims() {
			to[axis] += s[axis]
			_, _, widths[i] = around(s, axis)
			s[axis] = first[axis]
		}
		if !slices.Equal(s, first) {
			return nil, errors.Errorf("shapes %v and %v differ beside axis %d", first, x.Shape(), axis)
		}
	}
	return apply(spec{
		name:    "concat",
		outputs: []tensor.Shape{to},
		forward: compute{concat[float32](to, axis, widths), concat[float64](to, axis, widths)},
		backward: func(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
			ds := make(G.Nodes, len(in))
			at := 0
			for i, x := range in {
				lo := at
				at += x.Shape()[axis]
				if !need[i] {
					continue
				}
				d, err := Slice(grad, axis, lo, at)
				if err != nil {
					return nil, err
				}
				ds[i] = d
			}
			return ds, nil
		},
	}, xs...)
}

// concat copies rows of the given widths side by side.
func concat[T kernel.Float](to tensor.Shape, axis int, widths []int) func(out, in [][]T) {
	rows, _, n := around(to, axis)
	return func(out, in [][]T) {
		if len(out[0]) == 0 {
			return
		}
		at := 0
		for i, x := range in {
			kernel.CopyRows(rows, widths[i], out[0][at:], n, x, widths[i])
			at += widths[i]
		}
	}
}

// around views a shape as rows of n elements, the part of the shape from axis
// on, of which one step along the axis takes inner.
func around(s tensor.Shape, axis int) (rows, inner, n int) {
	rows, inner = 1, 1
	for i, d := range s {
		switch {
		case i < axis:
			rows *= d
		case i > axis:
			inner *= d
		}
	}
	return rows, inner, inner * s[axis]
}
