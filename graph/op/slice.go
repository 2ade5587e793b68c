package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Slice gives the part [lo, hi) of x along an axis.
func Slice(x *G.Node, axis, lo, hi int) (*G.Node, error) {
	s := x.Shape()
	if axis < 0 || axis >= s.Dims() {
		return nil, errors.Errorf("shape %v has no axis %d", s, axis)
	}
	if lo < 0 || lo > hi || hi > s[axis] {
		return nil, errors.Errorf("[%d, %d) is not within axis %d of shape %v", lo, hi, axis, s)
	}
	to := s.Clone()
	to[axis] = hi - lo
	rows, inner, n := around(s, axis)
	v := view{rows, n, lo * inner, (hi - lo) * inner}
	return apply(spec{
		name:    "slice",
		outputs: []tensor.Shape{to},
		forward: compute{slice[float32](v), slice[float64](v)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(apply(spec{
				name:    "slice.backward",
				outputs: []tensor.Shape{s},
				forward: compute{padded[float32](v), padded[float64](v)},
			}, grad))
		},
	}, x)
}

// view is a part of a matrix: a number of columns from lo on.
type view struct{ rows, n, lo, width int }

func slice[T kernel.Float](v view) func(out, in [][]T) {
	return func(out, in [][]T) {
		if len(out[0]) > 0 {
			kernel.CopyRows(v.rows, v.width, out[0], v.width, in[0][v.lo:], v.n)
		}
	}
}

func padded[T kernel.Float](v view) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.PadRows(v.rows, v.n, v.lo, v.width, out[0], in[0]) }
}
