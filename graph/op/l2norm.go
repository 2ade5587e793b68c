package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// L2Normalize gives x / max(‖x‖, eps) over the last axis; eps must be positive.
func L2Normalize(x *G.Node, eps float64) (*G.Node, error) {
	s := x.Shape()
	if s.Dims() == 0 {
		return nil, errors.New("a scalar has no axis")
	}
	if !(eps > 0) {
		return nil, errors.Errorf("eps = %v, want more than 0", eps)
	}
	n := s[s.Dims()-1]
	return apply(spec{
		name:    "l2_normalize",
		outputs: []tensor.Shape{s, {rowsOf(s)}}, // and the norms
		forward: compute{l2Normalize[float32](eps, n), l2Normalize[float64](eps, n)},
		backward: func(_ G.Nodes, out, grad *G.Node, _ []bool) (G.Nodes, error) {
			norm, err := tap(out, 1)
			if err != nil {
				return nil, err
			}
			return one(elementwise("l2_normalize.backward", compute{l2NormalizeBackward[float32](eps, n), l2NormalizeBackward[float64](eps, n)}, out, norm, grad))
		},
	}, x)
}

func l2Normalize[T kernel.Float](eps float64, n int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.L2Normalize(out[0], out[1], in[0], eps, n) }
}

func l2NormalizeBackward[T kernel.Float](eps float64, n int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.L2NormalizeBackward(out[0], in[0], in[1], in[2], eps, n) }
}
