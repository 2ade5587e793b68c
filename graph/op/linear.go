package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Linear gives act(x Wᵀ + bias) of shape (…, N), for x (…, K), weight (N, K)
// and bias (N), which may be nil.
func Linear(x, weight, bias *G.Node, act Activation) (*G.Node, error) {
	s, w := x.Shape(), weight.Shape()
	if w.Dims() != 2 {
		return nil, errors.Errorf("weight has shape %v, want (N, K)", w)
	}
	if s.Dims() == 0 || s[s.Dims()-1] != w[1] {
		return nil, errors.Errorf("%v × %vᵀ: x must have shape (…, %d)", s, w, w[1])
	}
	if bias != nil && !bias.Shape().Eq(tensor.Shape{w[0]}) {
		return nil, errors.Errorf("bias has shape %v, want (%d)", bias.Shape(), w[0])
	}
	if !act.Valid() {
		return nil, unknown(act)
	}
	k := linear{rows: rowsOf(s), width: w[1], out: w[0], act: act}
	y := s.Clone()
	y[s.Dims()-1] = k.out
	outputs := []tensor.Shape{y}
	if act != Identity {
		outputs = append(outputs, y) // before the activation
	}
	return apply(spec{
		name:     "linear",
		outputs:  outputs,
		forward:  compute{linearForward[float32](k), linearForward[float64](k)},
		backward: k.backward,
	}, args(x, weight, bias)...)
}

// rowsOf counts the rows of a shape, along its last axis.
func rowsOf(s tensor.Shape) int {
	rows := 1
	for _, n := range s[:len(s)-1] {
		rows *= n
	}
	return rows
}

// linear has the sizes of x (rows, width) and of the result (rows, out).
type linear struct {
	rows, width, out int
	act              Activation
}

func linearForward[T kernel.Float](k linear) func(out, in [][]T) {
	return func(out, in [][]T) {
		y := out[0]
		if k.act != Identity {
			y = out[1]
		}
		kernel.MatMul(false, true, k.rows, k.out, k.width, 1, in[0], k.width, in[1], k.width, 0, y, k.out)
		kernel.BiasActivate(out[0], y, third(in), k.out, k.act)
	}
}

func (k linear) backward(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
	read := G.Nodes{in[0], in[1], grad}
	var scratch []tensor.Shape
	if k.act != Identity {
		pre, err := tap(out, 1)
		if err != nil {
			return nil, err
		}
		read = append(read, pre)
		scratch = append(scratch, grad.Shape())
	}
	return jointly("linear.backward", in, need, scratch, joint{linearBackward[float32](k), linearBackward[float64](k)}, read...)
}

func linearBackward[T kernel.Float](k linear) func(grads, scratch, in [][]T) {
	sum := []int{k.rows, k.out}
	by := kernel.NewBroadcast(sum, sum[1:], sum)
	return func(grads, scratch, in [][]T) {
		x, w, dy := in[0], in[1], in[2]
		if k.act != Identity {
			kernel.ActivateBackward(scratch[0], in[3], dy, k.act)
			dy = scratch[0]
		}
		if dx := grads[0]; dx != nil {
			kernel.MatMul(false, false, k.rows, k.width, k.out, 1, dy, k.out, w, k.width, 0, dx, k.width)
		}
		if dw := grads[1]; dw != nil {
			kernel.MatMul(true, false, k.out, k.width, k.rows, 1, dy, k.out, x, k.width, 0, dw, k.width)
		}
		if db := third(grads); db != nil {
			kernel.Reduce(db, dy, 1, by)
		}
	}
}
