package op

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// LinearConfig holds the attributes of Linear.
type LinearConfig struct {
	Act      Activation
	Residual *G.Node // added to the result, of its shape; nil: nothing
	Fixed    bool    // weight never changes: it is packed for products at the first run
}

// Linear gives act(x Wᵀ + bias) + residual of shape (…, N), for x (…, K),
// weight (N, K) and bias (N), which may be nil.
func Linear(x, weight, bias *G.Node, c LinearConfig) (*G.Node, error) {
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
	if !c.Act.Valid() {
		return nil, unknown(c.Act)
	}
	y := s.Clone()
	y[s.Dims()-1] = w[0]
	if c.Residual != nil && !c.Residual.Shape().Eq(y) {
		return nil, errors.Errorf("residual has shape %v, want %v", c.Residual.Shape(), y)
	}
	k := linear{rows: rowsOf(s), width: w[1], out: w[0], act: c.Act, bias: bias != nil, residual: c.Residual != nil, fixed: c.Fixed}
	outputs := []tensor.Shape{y}
	if c.Act != Identity {
		outputs = append(outputs, y) // the derivative of the activation
	}
	return apply(spec{
		name:     "linear",
		outputs:  outputs,
		optional: true,
		flops:    multiplyAdds(k.rows, k.width, k.out),
		forward:  compute{linearForward[float32](k), linearForward[float64](k)},
		backward: k.backward,
	}, present(x, weight, bias, c.Residual)...)
}

// multiplyAdds is the product of sizes, counted twice.
func multiplyAdds(sizes ...int) int64 {
	n := int64(2)
	for _, s := range sizes {
		n *= int64(s)
	}
	return n
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
	rows, width, out      int
	act                   Activation
	bias, residual, fixed bool
}

func linearForward[T kernel.Float](k linear) func(out, in [][]T) {
	var packed *kernel.Packed
	return func(out, in [][]T) {
		f := kernel.Finish[T]{Act: k.act}
		if k.act != Identity {
			f.Slope = out[1]
		}
		rest := in[2:]
		if k.bias {
			f.Bias, rest = rest[0], rest[1:]
		}
		if k.residual {
			f.Residual = rest[0]
		}
		if k.fixed && packed == nil {
			packed = kernel.Pack(true, k.out, k.width, in[1], k.width)
		}
		kernel.Linear(out[0], in[0], in[1], k.rows, k.out, k.width, packed, f)
	}
}

func (k linear) backward(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
	n := 2
	if k.bias {
		n = 3
	}
	read := G.Nodes{in[0], in[1], grad}
	var scratch []tensor.Shape
	if k.act != Identity {
		slope, err := tap(out, 1)
		if err != nil {
			return nil, err
		}
		read = append(read, slope)
		scratch = append(scratch, grad.Shape())
	}
	ds, err := jointly("linear.backward", in[:n], need[:n], scratch, joint{linearBackward[float32](k), linearBackward[float64](k)}, read...)
	if k.residual && err == nil {
		ds = append(ds, grad)
	}
	return ds, err
}

func linearBackward[T kernel.Float](k linear) func(grads, scratch, in [][]T) {
	sum := []int{k.rows, k.out}
	by := kernel.NewBroadcast(sum, sum[1:], sum)
	all := kernel.NewBroadcast(sum, sum, sum)
	return func(grads, scratch, in [][]T) {
		x, w, dy := in[0], in[1], in[2]
		if k.act != Identity {
			kernel.Mul(scratch[0], dy, in[3], all)
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

// present drops what is nil.
func present(xs ...*G.Node) G.Nodes {
	return slices.DeleteFunc(xs, func(x *G.Node) bool { return x == nil })
}
