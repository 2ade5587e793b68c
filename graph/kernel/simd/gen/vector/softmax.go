package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// softmax writes y = softmax(scale x + mask) by rows. mask may be nil; step is
// the number of bytes from one of its rows to the next. Rows and n are positive.
func (v level) softmax() {
	v.function("softmax", "func(y, x, mask *float32, rows, n, step int, scale float32)")
	r := args("y", "x", "mask", "rows", "n", "step")
	y, x, mask, rows, n, step := r[0], r[1], r[2], r[3], r[4], r[5]
	none, least := v.zero(), v.constant(math.Inf(-1))
	// The tail of a row stays in a register: reading back what was just stored
	// under a mask is slow.
	tail := v.zero()
	keep := func(p place, r VecVirtual) {
		if p.mask != nil {
			VMOVAPS(r, tail)
		} else {
			p.store(r, y)
		}
	}
	next := label("next")
	Label(next)
	top, scale := v.copied(least), v.broadcast(argument("scale"))
	from := GP64()
	MOVQ(x, from)

	// NaN is left out of the maximum and comes in with the sum.
	masked, ready := label("masked"), label("ready")
	TESTQ(mask, mask)
	JNE(LabelRef(masked))
	v.each(n, 2, func(p place) {
		z := p.load(x)
		VMULPS(scale, z, z)
		if p.mask != nil {
			VMOVAPS(z, tail)
		}
		VMAXPS(top, p.only(z, least), top)
	})
	JMP(LabelRef(ready))
	Label(masked)
	v.each(n, 2, func(p place) {
		z := p.load(x)
		VMULPS(scale, z, z)
		VADDPS(p.operand(mask), z, z)
		keep(p, z)
		VMAXPS(top, p.only(z, least), top)
	})
	ADDQ(step, mask)
	MOVQ(y, from)
	VMOVUPS(constant(1), scale)
	Label(ready)

	// −Inf throughout gives exponentials of 0.
	highest := v.horizontal(top, VMAXPS)
	VMAXSS(constant(-math.MaxFloat32), highest, highest)
	shift := v.broadcast(highest)
	acc := v.zeros(2)
	v.each(n, 1, func(p place) {
		z := v.reg()
		if p.mask == nil {
			VMULPS(p.at(from), scale, z)
		} else {
			VMOVAPS(tail, z)
		}
		VSUBPS(shift, z, z)
		e := v.exp(z)
		keep(p, e)
		v.add64(p.only(e, none), acc)
	})
	sum, one := v.horizontal64(acc...), XMM()
	VMOVSD(double(1e-30), one)
	VMAXSD(sum, one, sum) // NaN stays, being the second source
	VMOVSD(double(1), one)
	VDIVSD(sum, one, sum)
	VCVTSD2SS(sum, sum, sum)
	factor := v.broadcast(sum)
	v.each(n, 2, func(p place) {
		e := tail
		if p.mask == nil {
			e = p.load(y)
		}
		VMULPS(factor, e, e)
		p.store(e, y)
	})
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, x)
	LEAQ(Mem{Base: y, Index: n, Scale: 4}, y)
	DECQ(rows)
	JNE(LabelRef(next))
	end()
}

// softmaxBackward writes dx = scale y (dy − Σ y dy) by rows.
func (v level) softmaxBackward() {
	v.function("softmaxBackward", "func(dx, y, dy *float32, rows, n int, scale float32)")
	r := args("dx", "y", "dy", "rows", "n")
	dx, y, dy, rows, n := r[0], r[1], r[2], r[3], r[4]
	scale := v.broadcast(argument("scale"))
	next := label("next")
	Label(next)
	acc := v.zeros(4)
	v.each(n, 2, func(p place) {
		yl, yh := v.widened(p, y)
		dl, dh := v.widened(p, dy)
		VFMADD231PD(dl, yl, acc[2*p.index])
		VFMADD231PD(dh, yh, acc[2*p.index+1])
	})
	total := v.horizontal64(acc...)
	VCVTSD2SS(total, total, total)
	sum := v.broadcast(total)
	v.each(n, 2, func(p place) {
		d := p.load(dy)
		VSUBPS(sum, d, d)
		VMULPS(p.operand(y), d, d)
		VMULPS(scale, d, d)
		p.store(d, dx)
	})
	for _, base := range r[:3] {
		LEAQ(Mem{Base: base, Index: n, Scale: 4}, base)
	}
	DECQ(rows)
	JNE(LabelRef(next))
	end()
}
