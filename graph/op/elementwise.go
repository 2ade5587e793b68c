package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Exp gives eˣ.
func Exp(x *G.Node) (*G.Node, error) {
	return unary("exp", x, compute{each(kernel.Exp[float32]), each(kernel.Exp[float64])},
		func(_, y, grad *G.Node) (*G.Node, error) { return Mul(grad, y) })
}

// Log gives the natural logarithm of x.
func Log(x *G.Node) (*G.Node, error) {
	return unary("log", x, compute{each(kernel.Log[float32]), each(kernel.Log[float64])},
		func(x, _, grad *G.Node) (*G.Node, error) { return Div(grad, x) })
}

// Sqrt gives √x.
func Sqrt(x *G.Node) (*G.Node, error) {
	return unary("sqrt", x, compute{each(kernel.Sqrt[float32]), each(kernel.Sqrt[float64])},
		func(_, y, grad *G.Node) (*G.Node, error) {
			return elementwise("sqrt.backward", compute{each2(kernel.SqrtBackward[float32]), each2(kernel.SqrtBackward[float64])}, y, grad)
		})
}

// Square gives x².
func Square(x *G.Node) (*G.Node, error) {
	by := kernel.NewBroadcast(x.Shape(), x.Shape(), x.Shape())
	return unary("square", x, compute{squared[float32](by), squared[float64](by)},
		func(x, _, grad *G.Node) (*G.Node, error) {
			return elementwise("square.backward", compute{each2(kernel.SquareBackward[float32]), each2(kernel.SquareBackward[float64])}, x, grad)
		})
}

func squared[T kernel.Float](by kernel.Broadcast) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Mul(out[0], in[0], in[0], by) }
}

// Clamp limits x to [lo, hi]; the gradient is 0 where x is outside.
func Clamp(x *G.Node, lo, hi float64) (*G.Node, error) {
	if !(lo <= hi) {
		return nil, errors.Errorf("[%v, %v] is no interval", lo, hi)
	}
	return unary("clamp", x, compute{clamped[float32](lo, hi), clamped[float64](lo, hi)},
		func(x, _, grad *G.Node) (*G.Node, error) {
			return elementwise("clamp.backward", compute{clampBackward[float32](lo, hi), clampBackward[float64](lo, hi)}, x, grad)
		})
}

func clamped[T kernel.Float](lo, hi float64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Clamp(out[0], in[0], lo, hi) }
}

func clampBackward[T kernel.Float](lo, hi float64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.ClampBackward(out[0], in[0], in[1], lo, hi) }
}

// unary applies a function to every element; d gives the gradient of x from x,
// the result y and its gradient.
func unary(name string, x *G.Node, f compute, d func(x, y, grad *G.Node) (*G.Node, error)) (*G.Node, error) {
	return apply(spec{
		name:    name,
		outputs: []tensor.Shape{x.Shape()},
		forward: f,
		backward: func(in G.Nodes, out, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(d(in[0], out, grad))
		},
	}, x)
}

// elementwise applies an operation without gradients to nodes of one shape.
func elementwise(name string, f compute, in ...*G.Node) (*G.Node, error) {
	return apply(spec{name: name, outputs: []tensor.Shape{in[0].Shape()}, forward: f}, in...)
}

func each[T kernel.Float](f func(y, x []T)) func(out, in [][]T) {
	return func(out, in [][]T) { f(out[0], in[0]) }
}

func each2[T kernel.Float](f func(y, a, b []T)) func(out, in [][]T) {
	return func(out, in [][]T) { f(out[0], in[0], in[1]) }
}
