package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Softmax gives softmax(x + mask) over the last axis. mask, which may be nil,
// holds 0 where x counts and −Inf where it does not, or any other bias; its
// shape is aligned with the last axes of x, where any but the very last may be
// 1 to be repeated. A row that is −Inf throughout gives 0.
func Softmax(x, mask *G.Node) (*G.Node, error) {
	s := x.Shape()
	if s.Dims() == 0 {
		return nil, errors.New("a scalar has no axis")
	}
	var aligned tensor.Shape
	if mask != nil {
		var err error
		if aligned, err = alignMask(mask.Shape(), s); err != nil {
			return nil, err
		}
	}
	n := s[s.Dims()-1]
	return apply(spec{
		name:    "softmax",
		outputs: []tensor.Shape{s},
		forward: compute{softmax[float32](s, aligned), softmax[float64](s, aligned)},
		backward: func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
			ds := make(G.Nodes, len(in))
			d, err := elementwise("softmax.backward", compute{softmaxBackward[float32](n), softmaxBackward[float64](n)}, out, grad)
			if err != nil {
				return nil, err
			}
			ds[0] = d
			if mask != nil && need[1] {
				ds[1], err = reduce(d, aligned, in[1].Shape(), 1)
			}
			return ds, err
		},
	}, args(x, mask)...)
}

// alignMask gives a mask the rank of the scores it is added to, by leading axes
// of 1.
func alignMask(mask, scores tensor.Shape) (tensor.Shape, error) {
	lead := len(scores) - len(mask)
	if lead < 0 || len(mask) == 0 {
		return nil, errors.Errorf("mask %v does not fit scores %v", mask, scores)
	}
	aligned := make(tensor.Shape, len(scores))
	for i, n := range scores {
		aligned[i] = 1
		if i >= lead {
			aligned[i] = mask[i-lead]
		}
		if aligned[i] != n && (aligned[i] != 1 || i == len(scores)-1) {
			return nil, errors.Errorf("mask %v does not fit scores %v", mask, scores)
		}
	}
	return aligned, nil
}

// rowsOfMask is the zero Mask if there is none.
func rowsOfMask(scores, mask tensor.Shape) kernel.Mask {
	if mask == nil {
		return kernel.Mask{}
	}
	return kernel.NewMask(scores, mask)
}

func softmax[T kernel.Float](s, mask tensor.Shape) func(out, in [][]T) {
	at, n := rowsOfMask(s, mask), s[s.Dims()-1]
	return func(out, in [][]T) {
		var m []T
		if mask != nil {
			m = in[1]
		}
		kernel.Softmax(out[0], in[0], m, at, n)
	}
}

func softmaxBackward[T kernel.Float](n int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.SoftmaxBackward(out[0], in[0], in[1], n) }
}

// LogSoftmax gives the logarithm of softmax over the last axis. A row that is
// −Inf throughout stays so.
func LogSoftmax(x *G.Node) (*G.Node, error) {
	s := x.Shape()
	if s.Dims() == 0 {
		return nil, errors.New("a scalar has no axis")
	}
	n := s[s.Dims()-1]
	return unary("log_softmax", x, compute{logSoftmax[float32](n), logSoftmax[float64](n)},
		func(_, y, grad *G.Node) (*G.Node, error) {
			return elementwise("log_softmax.backward", compute{logSoftmaxBackward[float32](n), logSoftmaxBackward[float64](n)}, y, grad)
		})
}

func logSoftmax[T kernel.Float](n int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.LogSoftmax(out[0], in[0], n) }
}

func logSoftmaxBackward[T kernel.Float](n int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.LogSoftmaxBackward(out[0], in[0], in[1], n) }
}
