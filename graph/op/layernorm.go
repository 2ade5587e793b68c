package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// LayerNorm gives (x − mean)/√(variance + eps) · weight + bias over the last
// axis of x (…, D), with weight and bias (D), which may both be nil
// (arXiv:1607.06450).
func LayerNorm(x, weight, bias *G.Node, eps float64) (*G.Node, error) {
	s := x.Shape()
	if s.Dims() == 0 {
		return nil, errors.New("a scalar has no axis")
	}
	if (weight == nil) != (bias == nil) {
		return nil, errors.New("weight and bias: want both or none")
	}
	if !(eps >= 0) {
		return nil, errors.Errorf("eps = %v, want 0 or more", eps)
	}
	n := s[s.Dims()-1]
	if weight != nil {
		if d := (tensor.Shape{n}); !weight.Shape().Eq(d) || !bias.Shape().Eq(d) {
			return nil, errors.Errorf("weight %v and bias %v for x %v, want %v", weight.Shape(), bias.Shape(), s, d)
		}
	}
	rows := tensor.Shape{rowsOf(s)}
	return apply(spec{
		name:    "layer_norm",
		outputs: []tensor.Shape{s, rows, rows}, // y, mean, 1/deviation
		forward: compute{layerNorm[float32](n, eps), layerNorm[float64](n, eps)},
		backward: func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
			mean, err := tap(out, 1)
			if err != nil {
				return nil, err
			}
			rstd, err := tap(out, 2)
			if err != nil {
				return nil, err
			}
			read := G.Nodes{grad, mean, rstd, in[0]}
			if weight != nil {
				read = append(read, in[1])
			}
			return jointly("layer_norm.backward", in, need, nil, joint{layerNormBackward[float32](n), layerNormBackward[float64](n)}, read...)
		},
	}, args(x, weight, bias)...)
}

func layerNorm[T kernel.Float](n int, eps float64) func(out, in [][]T) {
	return func(out, in [][]T) {
		var weight, bias []T
		if len(in) > 1 {
			weight, bias = in[1], in[2]
		}
		kernel.LayerNorm(out[0], out[1], out[2], in[0], weight, bias, eps, n)
	}
}

func layerNormBackward[T kernel.Float](n int) func(grads, scratch, in [][]T) {
	return func(grads, _, in [][]T) {
		var weight, dweight, dbias []T
		if len(in) > 4 {
			weight, dweight, dbias = in[4], grads[1], grads[2]
		}
		kernel.LayerNormBackward(grads[0], dweight, dbias, in[3], weight, in[1], in[2], in[0], n)
	}
}
