package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// activation is a function y and its derivative d, which may spoil x.
type activation struct {
	name string
	y, d func(v level, x VecVirtual) VecVirtual
	both func(v level, x VecVirtual) (y, d VecVirtual)
}

const (
	quickGELU  = 1.702
	geluLinear = 2 * 0.7978845608028654 // 2√(2/π)
	geluCubic  = geluLinear * 0.044715
)

func functions() []activation {
	return []activation{
		{"gelu", func(v level, x VecVirtual) VecVirtual {
			c, _ := v.normal(x)
			VMULPS(x, c, c)
			return c
		}, func(v level, x VecVirtual) VecVirtual {
			c, e := v.normal(x)
			return v.geluSlope(x, c, e)
		}, func(v level, x VecVirtual) (y, d VecVirtual) {
			c, e := v.normal(x)
			y = v.reg()
			VMULPS(x, c, y)
			return y, v.geluSlope(x, c, e)
		}},
		{"geluTanh", func(v level, x VecVirtual) VecVirtual {
			return v.gated(x, v.cubic(x, -1))
		}, func(v level, x VecVirtual) VecVirtual {
			s, slope := v.sigmoids(v.cubic(x, 1))
			return v.cubicSlope(x, s, slope)
		}, func(v level, x VecVirtual) (y, d VecVirtual) {
			s, slope := v.sigmoids(v.cubic(x, 1))
			y = v.reg()
			VMULPS(x, s, y)
			return y, v.cubicSlope(x, s, slope)
		}},
		swish("quickGELU", quickGELU),
		swish("silu", 1),
		{"tanh", func(v level, x VecVirtual) VecVirtual {
			y, _ := v.tanh(x, false)
			return y
		}, level.tanhSlope, func(v level, x VecVirtual) (y, d VecVirtual) {
			return v.tanh(x, true)
		}},
		{"relu", level.relu, level.step, func(v level, x VecVirtual) (y, d VecVirtual) {
			return v.relu(x), v.step(x)
		}},
		{"sigmoid", func(v level, x VecVirtual) VecVirtual {
			n := v.reg()
			if v == avx512 {
				VPXORD(bits(0x80000000), x, n)
			} else {
				VXORPS(bits(0x80000000), x, n)
			}
			return v.inverse(v.exp(n))
		}, func(v level, x VecVirtual) VecVirtual {
			e := v.decay(x, 1)
			i := v.inverse(e)
			VMULPS(i, e, e)
			VMULPS(i, e, e)
			return e
		}, level.sigmoids},
	}
}

// swish is x σ(c x).
func swish(name string, c float64) activation {
	scaled := func(v level, x VecVirtual, c float64) VecVirtual {
		if c == 1 {
			return x
		}
		u := v.reg()
		VMULPS(constant(c), x, u)
		return u
	}
	both := func(v level, x VecVirtual) (s, d VecVirtual) {
		u := scaled(v, x, c)
		s, slope := v.sigmoids(u)
		VFMADD213PS(s, u, slope) // σ + c x σ(1 − σ)
		return s, slope
	}
	return activation{name, func(v level, x VecVirtual) VecVirtual {
		return v.gated(x, scaled(v, x, -c))
	}, func(v level, x VecVirtual) VecVirtual {
		_, d := both(v, x)
		return d
	}, func(v level, x VecVirtual) (y, d VecVirtual) {
		y, d = both(v, x)
		VMULPS(x, y, y)
		return y, d
	}}
}

// gated is x σ(−u). It spoils u.
func (v level) gated(x, u VecVirtual) VecVirtual {
	if u == x {
		u = v.copied(x)
	}
	y, d := v.reg(), v.exp(u)
	VADDPS(constant(1), d, d)
	VDIVPS(d, x, y)
	return y
}

// geluSlope is Φ(x) + x e^(−x²/2)/√(2π). It spoils c and e.
func (v level) geluSlope(x, c, e VecVirtual) VecVirtual {
	VMULPS(constant(1/math.Sqrt(2*math.Pi)), e, e)
	VFMADD231PS(x, e, c)
	return c
}

// cubic is ±2√(2/π)(x + 0.044715 x³).
func (v level) cubic(x VecVirtual, sign float64) VecVirtual {
	z, u := v.reg(), v.constant(sign*geluCubic)
	VMULPS(x, x, z)
	VFMADD213PS(constant(sign*geluLinear), z, u)
	VMULPS(x, u, u)
	return u
}

// cubicSlope is s + x·slope·u'(x), u being cubic.
func (v level) cubicSlope(x, s, slope VecVirtual) VecVirtual {
	z, u := v.reg(), v.constant(3*geluCubic)
	VMULPS(x, x, z)
	VFMADD213PS(constant(geluLinear), z, u)
	VMULPS(x, slope, slope)
	VFMADD231PS(u, slope, s)
	return s
}

func (v level) relu(x VecVirtual) VecVirtual {
	y := v.reg()
	VMAXPS(x, v.zero(), y) // NaN stays, being the second source
	return y
}

// step is 0 where x ≤ 0 and 1 elsewhere.
func (v level) step(x VecVirtual) VecVirtual {
	d := v.constant(1)
	v.choose(atMost, v.zero(), x, v.zero(), d)
	return d
}

// activations writes three kernels for each function: y = a(x + bias), the
// same with d = a'(x + bias), and dx = dy a'(x). bias may be nil.
func (v level) activations() {
	for _, a := range functions() {
		v.function(a.name, "func(y, x, bias *float32, n int)")
		r := args("y", "x", "bias", "n")
		v.each(r[3], 1, func(p place) { p.store(a.y(v, v.biased(p, r[1], r[2])), r[0]) })
		end()

		v.function(a.name+"Both", "func(y, d, x, bias *float32, n int)")
		r = args("y", "d", "x", "bias", "n")
		v.each(r[4], 1, func(p place) {
			y, d := a.both(v, v.biased(p, r[2], r[3]))
			p.store(y, r[0])
			p.store(d, r[1])
		})
		end()

		v.function(a.name+"Backward", "func(dx, x, dy *float32, n int)")
		r = args("dx", "x", "dy", "n")
		v.each(r[3], 1, func(p place) {
			if a.name == "relu" { // 0 even where dy is infinite
				dx := p.load(r[2])
				v.choose(atMost, v.zero(), p.load(r[1]), v.zero(), dx)
				p.store(dx, r[0])
				return
			}
			d := a.d(v, p.load(r[1]))
			VMULPS(p.operand(r[2]), d, d)
			p.store(d, r[0])
		})
		end()
	}
}

// biased loads x + bias, where bias may be nil.
func (v level) biased(p place, x, bias GPVirtual) VecVirtual {
	r, none := p.load(x), label("none")
	TESTQ(bias, bias)
	JE(LabelRef(none))
	VADDPS(p.operand(bias), r, r)
	Label(none)
	return r
}
