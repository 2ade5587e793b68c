// Package op holds the differentiable operations that models are made of, as
// Gorgonia operations on its exported interface alone.
//
// Every function adds nodes to the graph of its arguments and returns an error
// where shapes do not fit; package graph wraps them in a Builder that carries
// the error to one place. All values of a graph have one floating-point type,
// float32 or float64; ids and positions are whole numbers in that type, exact
// up to 2²⁴. There are no scalars: a single number has shape (1).
//
// An operation states its outputs, how they are computed, and which nodes
// compute its gradients:
//
//	// Tanh gives tanh(x), elementwise.
//	func Tanh(x *gorgonia.Node) (*gorgonia.Node, error) {
//		return apply(spec{
//			name:     "tanh",
//			outputs:  []tensor.Shape{x.Shape()},
//			forward:  compute{tanh[float32], tanh[float64]},
//			backward: tanhBackward,
//		}, x)
//	}
//
// Further outputs hold what the backward pass needs, or several gradients that
// one pass computes; tap exposes them as nodes.
package op
