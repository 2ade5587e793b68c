package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// arithmetic writes dst = x ∘ y for the four operations, dst = x + c,
// dst = c x, y += a x and dst += c (x − dst).
func (v level) arithmetic() {
	for _, f := range []struct {
		name string
		op   func(ops ...Op)
	}{{"add", VADDPS}, {"sub", VSUBPS}, {"mul", VMULPS}, {"div", VDIVPS}} {
		v.function(f.name, "func(dst, x, y *float32, n int)")
		r := args("dst", "x", "y", "n")
		v.each(r[3], 2, func(p place) {
			x := p.load(r[1])
			f.op(p.operand(r[2]), x, x)
			p.store(x, r[0])
		})
		end()
	}
	for _, f := range []struct {
		name string
		op   func(c, x, dst VecVirtual)
	}{
		{"addScalar", func(c, x, _ VecVirtual) { VADDPS(c, x, x) }},
		{"mulScalar", func(c, x, _ VecVirtual) { VMULPS(c, x, x) }},
		{"axpy", func(c, x, dst VecVirtual) { VFMADD213PS(dst, c, x) }},
		// Without fused products, so that plain code rounds alike.
		{"mix", func(c, x, dst VecVirtual) {
			VSUBPS(dst, x, x)
			VMULPS(c, x, x)
			VADDPS(dst, x, x)
		}},
	} {
		v.function(f.name, "func(dst, x *float32, n int, c float32)")
		r := args("dst", "x", "n")
		c := v.broadcast(argument("c"))
		v.each(r[2], 2, func(p place) {
			x := p.load(r[1])
			var dst VecVirtual
			if f.name == "axpy" || f.name == "mix" {
				dst = p.load(r[0])
			}
			f.op(c, x, dst)
			p.store(x, r[0])
		})
		end()
	}
}

// exponentials writes dst = scale e^(x − shift) and dx = dy − s eʸ.
func (v level) exponentials() {
	v.function("expScaled", "func(dst, x *float32, n int, shift, scale float32)")
	r := args("dst", "x", "n")
	shift, scale := v.broadcast(argument("shift")), v.broadcast(argument("scale"))
	v.each(r[2], 1, func(p place) {
		x := p.load(r[1])
		VSUBPS(shift, x, x)
		e := v.exp(x)
		VMULPS(scale, e, e)
		p.store(e, r[0])
	})
	end()

	v.function("logSoftmaxBackward", "func(dx, y, dy *float32, n int, sum float32)")
	r = args("dx", "y", "dy", "n")
	sum := v.broadcast(argument("sum"))
	v.each(r[3], 1, func(p place) {
		e := v.exp(p.load(r[1]))
		dy := p.load(r[2])
		VFNMADD231PS(sum, e, dy)
		p.store(dy, r[0])
	})
	end()
}

// adamW writes a step of AdamW. c holds the coefficients in the order of
// simd.AdamW. Products are not fused, so that plain code rounds alike.
func (v level) adamW() {
	v.function("adamW", "func(w, grad, m, s *float32, n int, c *float32)")
	r := args("w", "grad", "m", "s", "n", "c")
	var c [8]VecVirtual
	for i := range c {
		c[i] = v.broadcast(Mem{Base: r[5], Disp: 4 * i})
	}
	scale, keep, mix1, beta2, mix2, rate, unroot, eps := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
	v.each(r[4], 1, func(p place) {
		d, m, t := p.load(r[1]), p.load(r[2]), v.reg()
		VMULPS(scale, d, d)
		VSUBPS(m, d, t)
		VMULPS(mix1, t, t)
		VADDPS(t, m, m)
		p.store(m, r[2])

		s := p.load(r[3])
		VMULPS(beta2, s, s)
		VMULPS(d, d, d)
		VMULPS(mix2, d, d)
		VADDPS(d, s, s)
		p.store(s, r[3])

		VSQRTPS(s, s)
		VMULPS(unroot, s, s)
		VADDPS(eps, s, s)
		VDIVPS(s, m, m)
		VMULPS(rate, m, m)
		w := p.load(r[0])
		VMULPS(keep, w, w)
		VSUBPS(m, w, w)
		p.store(w, r[0])
	})
	end()
}
