package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// layerNorm writes y = (x − mean) rstd · weight + bias by rows, and mean and
// rstd. weight and bias may both be nil. The mean is used in two parts, whose
// sum keeps the precision where it is far larger than the deviation.
func (v level) layerNorm() {
	v.function("layerNorm", "func(y, x, weight, bias, mean, rstd *float32, rows, n int, eps float64)")
	r := args("y", "x", "weight", "bias", "mean", "rstd", "rows", "n")
	y, x, weight, bias, mean, rstd, rows, n := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	none, count := v.zero(), XMM()
	VXORPS(count, count, count)
	VCVTSI2SDQ(n, count, count)
	next := label("next")
	Label(next)
	acc := v.zeros(4)
	v.each(n, 2, func(p place) {
		low, high := v.widened(p, x)
		VADDPD(low, acc[2*p.index], acc[2*p.index])
		VADDPD(high, acc[2*p.index+1], acc[2*p.index+1])
	})
	m, hi, lo := v.horizontal64(acc...), XMM(), XMM()
	VDIVSD(count, m, m)
	VCVTSD2SS(m, m, hi)
	VMOVSS(hi, Mem{Base: mean})
	VCVTSS2SD(hi, hi, lo)
	VSUBSD(lo, m, lo)
	VCVTSD2SS(lo, lo, lo)
	first, second := v.broadcast(hi), v.broadcast(lo)
	centred := func(p place) VecVirtual {
		d := p.load(x)
		VSUBPS(first, d, d)
		VSUBPS(second, d, d)
		return d
	}

	acc = v.zeros(4)
	v.each(n, 2, func(p place) {
		low, high := v.doubles(p.only(centred(p), none))
		VFMADD231PD(low, low, acc[2*p.index])
		VFMADD231PD(high, high, acc[2*p.index+1])
	})
	s, one := v.horizontal64(acc...), XMM()
	VDIVSD(count, s, s)
	VADDSD(argument("eps"), s, s)
	VSQRTSD(s, s, s)
	VMOVSD(double(1), one)
	VDIVSD(s, one, s)
	VCVTSD2SS(s, s, s)
	VMOVSS(s, Mem{Base: rstd})
	scale := v.broadcast(s)

	plain, done := label("plain"), label("done")
	TESTQ(weight, weight)
	JE(LabelRef(plain))
	v.each(n, 2, func(p place) {
		d, b := centred(p), p.load(bias)
		VMULPS(scale, d, d)
		VFMADD231PS(p.operand(weight), d, b)
		p.store(b, y)
	})
	JMP(LabelRef(done))
	Label(plain)
	v.each(n, 2, func(p place) {
		d := centred(p)
		VMULPS(scale, d, d)
		p.store(d, y)
	})
	Label(done)
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, x)
	LEAQ(Mem{Base: y, Index: n, Scale: 4}, y)
	ADDQ(Imm(4), mean)
	ADDQ(Imm(4), rstd)
	DECQ(rows)
	JNE(LabelRef(next))
	end()
}

// layerNormBackward writes dx = rstd (γ − ⟨γ⟩ − x̂ ⟨γ x̂⟩) by rows, where
// γ = dy · weight and x̂ is the normalized row, and adds dy x̂ to dweight and dy
// to dbias. dx may be nil, as may weight, and dweight with dbias.
func (v level) layerNormBackward() {
	v.function("layerNormBackward", "func(dx, dweight, dbias, x, weight, mean, rstd, dy *float32, rows, n int)")
	r := args("dx", "dweight", "dbias", "x", "weight", "mean", "rstd", "dy", "rows", "n")
	dx, dweight, dbias, x, weight, mean, rstd, dy, rows, n := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9]
	next, skip := label("next"), label("skip")
	Label(next)
	m, s := v.broadcast(Mem{Base: mean}), v.broadcast(Mem{Base: rstd})
	normalized := func(p place) VecVirtual {
		h := p.load(x)
		VSUBPS(m, h, h)
		VMULPS(s, h, h)
		return h
	}
	weighted := func(p place) VecVirtual {
		d, whole := p.load(dy), label("whole")
		TESTQ(weight, weight)
		JE(LabelRef(whole))
		VMULPS(p.operand(weight), d, d)
		Label(whole)
		return d
	}
	none, acc := v.zero(), v.zeros(4)
	v.each(n, 2, func(p place) {
		h, alone := p.only(normalized(p), none), label("alone")
		TESTQ(dweight, dweight)
		JE(LabelRef(alone))
		d, t := p.load(dy), p.load(dweight)
		VFMADD231PS(h, d, t)
		p.store(t, dweight)
		VADDPS(p.operand(dbias), d, d)
		p.store(d, dbias)
		Label(alone)
		d = weighted(p)
		VADDPS(d, acc[2*p.index], acc[2*p.index])
		VFMADD231PS(d, h, acc[2*p.index+1])
	})
	TESTQ(dx, dx)
	JE(LabelRef(skip))
	count, one := XMM(), XMM()
	VXORPS(count, count, count)
	VCVTSI2SSQ(n, count, count)
	VMOVSS(constant(1), one)
	VDIVSS(count, one, one)
	var average [2]VecVirtual // of γ and γ x̂
	for i := range average {
		VADDPS(acc[2+i], acc[i], acc[i])
		t := v.horizontal(acc[i], VADDPS)
		VMULSS(one, t, t)
		average[i] = v.broadcast(t)
	}
	v.each(n, 2, func(p place) {
		h, d := normalized(p), weighted(p)
		VSUBPS(average[0], d, d)
		VFNMADD231PS(average[1], h, d)
		VMULPS(s, d, d)
		p.store(d, dx)
	})
	LEAQ(Mem{Base: dx, Index: n, Scale: 4}, dx)
	Label(skip)
	LEAQ(Mem{Base: x, Index: n, Scale: 4}, x)
	LEAQ(Mem{Base: dy, Index: n, Scale: 4}, dy)
	ADDQ(Imm(4), mean)
	ADDQ(Imm(4), rstd)
	DECQ(rows)
	JNE(LabelRef(next))
	end()
}
