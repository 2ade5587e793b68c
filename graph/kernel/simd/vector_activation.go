//go:build amd64 && !noasm

package simd

import "fmt"

// kernels are those of one activation.
type kernels struct {
	forward  func(y, x, bias *float32, n int)
	both     func(y, d, x, bias *float32, n int)
	backward func(dx, x, dy *float32, n int)
}

var kernelsAVX512 = [...]kernels{
	GELU:      {geluAVX512, geluBothAVX512, geluBackwardAVX512},
	GELUTanh:  {geluTanhAVX512, geluTanhBothAVX512, geluTanhBackwardAVX512},
	QuickGELU: {quickGELUAVX512, quickGELUBothAVX512, quickGELUBackwardAVX512},
	SiLU:      {siluAVX512, siluBothAVX512, siluBackwardAVX512},
	Tanh:      {tanhAVX512, tanhBothAVX512, tanhBackwardAVX512},
	ReLU:      {reluAVX512, reluBothAVX512, reluBackwardAVX512},
	Sigmoid:   {sigmoidAVX512, sigmoidBothAVX512, sigmoidBackwardAVX512},
}

var kernelsAVX2 = [...]kernels{
	GELU:      {geluAVX2, geluBothAVX2, geluBackwardAVX2},
	GELUTanh:  {geluTanhAVX2, geluTanhBothAVX2, geluTanhBackwardAVX2},
	QuickGELU: {quickGELUAVX2, quickGELUBothAVX2, quickGELUBackwardAVX2},
	SiLU:      {siluAVX2, siluBothAVX2, siluBackwardAVX2},
	Tanh:      {tanhAVX2, tanhBothAVX2, tanhBackwardAVX2},
	ReLU:      {reluAVX2, reluBothAVX2, reluBackwardAVX2},
	Sigmoid:   {sigmoidAVX2, sigmoidBothAVX2, sigmoidBackwardAVX2},
}

// activation returns the kernels of a.
func activation(a Activation) *kernels {
	if a <= Identity || a > Sigmoid {
		panic(fmt.Sprintf("simd: activation %d", a))
	}
	if wide() {
		return &kernelsAVX512[a]
	}
	return &kernelsAVX2[a]
}

// BiasActivate sets y = a(x + bias) and, unless d is nil, d = a'(x + bias), for
// one row. bias may be nil. y or d may be x.
func BiasActivate(y, d, x, bias []float32, a Activation) {
	n := len(y)
	if n == 0 {
		return
	}
	from, add, slope := start(x, n), maybe(bias, n), maybe(d, n)
	switch {
	case a == Identity:
		if bias != nil {
			Add(y, x, bias)
		} else {
			copy(y, x)
		}
		if d != nil {
			for i := range d[:n] {
				d[i] = 1
			}
		}
	case d == nil:
		activation(a).forward(&y[0], from, add, n)
	default:
		activation(a).both(&y[0], slope, from, add, n)
	}
}

// ActivateBackward sets dx = dy·a'(x).
func ActivateBackward(dx, x, dy []float32, a Activation) {
	n := len(dx)
	switch {
	case n == 0:
	case a == Identity:
		_ = dy[n-1]
		copy(dx, dy)
	default:
		activation(a).backward(&dx[0], start(x, n), start(dy, n), n)
	}
}
