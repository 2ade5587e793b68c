package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"

	"tessera/graph/kernel"
)

// Activation names an elementwise function.
type Activation = kernel.Activation

// The activation functions; package kernel gives their formulas.
const (
	Identity  = kernel.Identity
	GELU      = kernel.GELU
	GELUTanh  = kernel.GELUTanh
	QuickGELU = kernel.QuickGELU
	SiLU      = kernel.SiLU
	Tanh      = kernel.Tanh
	ReLU      = kernel.ReLU
	Sigmoid   = kernel.Sigmoid
)

// ParseActivation reads the hidden_act of a published config.json, such as
// "gelu_new".
func ParseActivation(name string) (Activation, error) { return kernel.ParseActivation(name) }

// Activate applies an activation function to every element of x. Identity
// gives x itself.
func Activate(x *G.Node, a Activation) (*G.Node, error) {
	if !a.Valid() {
		return nil, unknown(a)
	}
	if a == Identity {
		return x, nil
	}
	return unary(a.String(), x, compute{activate[float32](a), activate[float64](a)},
		func(x, _, grad *G.Node) (*G.Node, error) {
			return elementwise(a.String()+".backward", compute{activateBackward[float32](a), activateBackward[float64](a)}, x, grad)
		})
}

func unknown(a Activation) error { return errors.Errorf("unknown activation %d", int(a)) }

func activate[T kernel.Float](a Activation) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Activate(out[0], in[0], a) }
}

func activateBackward[T kernel.Float](a Activation) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.ActivateBackward(out[0], in[0], in[1], a) }
}

// LeakyReLU gives x where it is positive and slope·x elsewhere.
func LeakyReLU(x *G.Node, slope float64) (*G.Node, error) {
	return unary("leaky_relu", x, compute{leakyReLU[float32](slope), leakyReLU[float64](slope)},
		func(x, _, grad *G.Node) (*G.Node, error) {
			return elementwise("leaky_relu.backward", compute{leakyReLUBackward[float32](slope), leakyReLUBackward[float64](slope)}, x, grad)
		})
}

func leakyReLU[T kernel.Float](slope float64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.LeakyReLU(out[0], in[0], T(slope)) }
}

func leakyReLUBackward[T kernel.Float](slope float64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.LeakyReLUBackward(out[0], in[0], in[1], T(slope)) }
}
