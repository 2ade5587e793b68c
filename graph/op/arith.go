package op

import (
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Add gives a + b, broadcast by the rules of NumPy.
func Add(a, b *G.Node) (*G.Node, error) {
	return binary("add", a, b, kernel.Add[float32], kernel.Add[float64],
		func(_, _, _, grad *G.Node) (*G.Node, error) { return grad, nil },
		func(_, _, _, grad *G.Node) (*G.Node, error) { return grad, nil })
}

// Sub gives a − b, broadcast by the rules of NumPy.
func Sub(a, b *G.Node) (*G.Node, error) {
	return binary("sub", a, b, kernel.Sub[float32], kernel.Sub[float64],
		func(_, _, _, grad *G.Node) (*G.Node, error) { return grad, nil },
		func(_, _, _, grad *G.Node) (*G.Node, error) { return Scale(grad, -1) })
}

// Mul gives a · b elementwise, broadcast by the rules of NumPy.
func Mul(a, b *G.Node) (*G.Node, error) {
	return binary("mul", a, b, kernel.Mul[float32], kernel.Mul[float64],
		func(_, b, _, grad *G.Node) (*G.Node, error) { return Mul(grad, b) },
		func(a, _, _, grad *G.Node) (*G.Node, error) { return Mul(grad, a) })
}

// Div gives a / b elementwise, broadcast by the rules of NumPy.
func Div(a, b *G.Node) (*G.Node, error) {
	return binary("div", a, b, kernel.Div[float32], kernel.Div[float64],
		func(_, b, _, grad *G.Node) (*G.Node, error) { return Div(grad, b) },
		func(_, b, y, grad *G.Node) (*G.Node, error) { // −dy · y/b
			d, err := Mul(grad, y)
			if err != nil {
				return nil, err
			}
			if d, err = Div(d, b); err != nil {
				return nil, err
			}
			return Scale(d, -1)
		})
}

// partial gives the gradient of an operand, of the shape of the result y.
type partial func(a, b, y, grad *G.Node) (*G.Node, error)

func binary(name string, a, b *G.Node, f32 func(y, a, b []float32, by kernel.Broadcast), f64 func(y, a, b []float64, by kernel.Broadcast), da, db partial) (*G.Node, error) {
	s, err := broadcastShape(a.Shape(), b.Shape())
	if err != nil {
		return nil, err
	}
	by := kernel.NewBroadcast(s, a.Shape(), b.Shape())
	return apply(spec{
		name:    name,
		outputs: []tensor.Shape{s},
		forward: compute{paired(f32, by), paired(f64, by)},
		backward: func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
			ds := make(G.Nodes, 2)
			for i, partial := range []partial{da, db} {
				if !need[i] {
					continue
				}
				d, err := partial(in[0], in[1], out, grad)
				if err != nil {
					return nil, err
				}
				if ds[i], err = reduceTo(d, in[i].Shape()); err != nil {
					return nil, err
				}
			}
			return ds, nil
		},
	}, a, b)
}

func paired[T kernel.Float](f func(y, a, b []T, by kernel.Broadcast), by kernel.Broadcast) func(out, in [][]T) {
	return func(out, in [][]T) { f(out[0], in[0], in[1], by) }
}

// reduceTo adds up x to a shape that broadcasts to x's.
func reduceTo(x *G.Node, s tensor.Shape) (*G.Node, error) {
	if slices.Equal(x.Shape(), s) {
		return x, nil
	}
	return reduce(x, s, s, 1)
}

// Scale gives c · x.
func Scale(x *G.Node, c float64) (*G.Node, error) {
	return apply(spec{
		name:    "scale",
		outputs: []tensor.Shape{x.Shape()},
		forward: compute{scale[float32](c), scale[float64](c)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(Scale(grad, c))
		},
	}, x)
}

func scale[T kernel.Float](c float64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Scale(out[0], in[0], T(c)) }
}

// Shift gives x + c.
func Shift(x *G.Node, c float64) (*G.Node, error) {
	return apply(spec{
		name:    "shift",
		outputs: []tensor.Shape{x.Shape()},
		forward: compute{shift[float32](c), shift[float64](c)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return G.Nodes{grad}, nil
		},
	}, x)
}

func shift[T kernel.Float](c float64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Shift(out[0], in[0], c) }
}
