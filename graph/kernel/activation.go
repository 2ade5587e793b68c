package kernel

import (
	"github.com/pkg/errors"

	"tessera/graph/kernel/simd"
)

// Activation names an elementwise function, in the order of package simd.
type Activation int

const (
	Identity  Activation = iota
	GELU                 // x Φ(x), with Φ the normal distribution (arXiv:1606.08415)
	GELUTanh             // its approximation x σ(2√(2/π)(x + 0.044715 x³))
	QuickGELU            // x σ(1.702 x), of OpenAI's CLIP
	SiLU                 // x σ(x), also called swish
	Tanh
	ReLU
	Sigmoid
)

var activationNames = [...]string{"identity", "gelu", "gelu_tanh", "quick_gelu", "silu", "tanh", "relu", "sigmoid"}

func (a Activation) String() string {
	if !a.Valid() {
		return "unknown"
	}
	return activationNames[a]
}

// Valid tells whether a is one of the functions above.
func (a Activation) Valid() bool { return a >= 0 && int(a) < len(activationNames) }

// ParseActivation reads the hidden_act of a published config.json.
func ParseActivation(name string) (Activation, error) {
	switch name {
	case "gelu":
		return GELU, nil
	case "gelu_new", "gelu_pytorch_tanh":
		return GELUTanh, nil
	case "quick_gelu":
		return QuickGELU, nil
	case "silu", "swish":
		return SiLU, nil
	case "tanh":
		return Tanh, nil
	case "relu":
		return ReLU, nil
	case "sigmoid":
		return Sigmoid, nil
	}
	return 0, errors.Errorf("unknown activation %q, want gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, tanh, relu or sigmoid", name)
}

// activationCost is about how many elementary operations an element takes, in
// several lanes at once.
const activationCost = 2

// Activate sets y = a(x). y and x may be the same slice.
func Activate[T Float](y, x []T, a Activation) {
	Chunks(len(y), activationCost, func(lo, hi int) { activate(y[lo:hi], x[lo:hi], a) })
}

// ActivateBackward sets dx = dy a'(x). dx and dy may be the same slice.
func ActivateBackward[T Float](dx, x, dy []T, a Activation) {
	Chunks(len(dx), activationCost, func(lo, hi int) { activateBackward(dx[lo:hi], x[lo:hi], dy[lo:hi], a) })
}

const (
	quickGELU  = 1.702
	geluLinear = 2 * 0.7978845608028654 // 2√(2/π)
	geluCubic  = geluLinear * 0.044715
	sqrtTwoPi  = 2.5066282746310002
)

func activate[T Float](y, x []T, a Activation) {
	x = x[:len(y)]
	if fast[T]() {
		simd.Activate(singles(y), singles(x), simd.Activation(a))
		return
	}
	switch a {
	case Identity:
		copy(y, x)
	case GELU:
		for i, v := range x {
			c, _ := normal(v)
			y[i] = v * c
		}
	case GELUTanh:
		for i, v := range x {
			y[i] = v * sigmoid(v*(geluLinear+geluCubic*v*v))
		}
	case QuickGELU:
		swish(y, x, quickGELU)
	case SiLU:
		swish(y, x, 1)
	case Tanh:
		for i, v := range x {
			y[i] = tanh(v)
		}
	case ReLU:
		for i, v := range x {
			y[i] = max(v, 0)
		}
	case Sigmoid:
		for i, v := range x {
			y[i] = sigmoid(v)
		}
	}
}

func activateBackward[T Float](dx, x, dy []T, a Activation) {
	x, dy = x[:len(dx)], dy[:len(dx)]
	if fast[T]() {
		simd.ActivateBackward(singles(dx), singles(x), singles(dy), simd.Activation(a))
		return
	}
	switch a {
	case Identity:
		copy(dx, dy)
	case GELU:
		for i, v := range x {
			c, e := normal(v)
			dx[i] = dy[i] * (c + v*e*(1/sqrtTwoPi))
		}
	case GELUTanh:
		for i, v := range x {
			s, r := sigmoids(v * (geluLinear + geluCubic*v*v))
			dx[i] = dy[i] * (s + v*s*r*(geluLinear+3*geluCubic*v*v))
		}
	case QuickGELU:
		swishBackward(dx, x, dy, quickGELU)
	case SiLU:
		swishBackward(dx, x, dy, 1)
	case Tanh:
		for i, v := range x {
			e := exp(-2 * max(v, -v))
			r := 1 / (1 + e)
			dx[i] = dy[i] * (4 * e * r * r)
		}
	case ReLU:
		for i, v := range x {
			if v <= 0 {
				dx[i] = 0
			} else { // NaN too
				dx[i] = dy[i]
			}
		}
	case Sigmoid:
		for i, v := range x {
			s, r := sigmoids(v)
			dx[i] = dy[i] * s * r
		}
	}
}

// swish sets y = x σ(c x).
func swish[T Float](y, x []T, c T) {
	for i, v := range x {
		y[i] = v * sigmoid(c*v)
	}
}

func swishBackward[T Float](dx, x, dy []T, c T) {
	for i, v := range x {
		s, r := sigmoids(c * v)
		dx[i] = dy[i] * (s + c*v*s*r)
	}
}

// LeakyReLU sets y to x where it is positive and to slope·x elsewhere.
func LeakyReLU[T Float](y, x []T, slope T) {
	Chunks(len(y), 2, func(lo, hi int) {
		to := y[lo:hi]
		for i, v := range x[lo:hi] {
			if v < 0 {
				v *= slope
			}
			to[i] = v
		}
	})
}

// LeakyReLUBackward sets dx to dy where x is positive and to slope·dy
// elsewhere.
func LeakyReLUBackward[T Float](dx, x, dy []T, slope T) {
	Chunks(len(dx), 2, func(lo, hi int) {
		to, g := dx[lo:hi], dy[lo:hi]
		for i, v := range x[lo:hi] {
			if v <= 0 {
				to[i] = slope * g[i]
			} else {
				to[i] = g[i]
			}
		}
	})
}
