package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// sums writes Σ x, Σ x y and Σ e^(x − shift), all in float64, and max x.
func (v level) sums() {
	v.function("sum", "func(x *float32, n int) float64")
	r := args("x", "n")
	acc := v.zeros(4)
	v.each(r[1], 2, func(p place) {
		low, high := v.widened(p, r[0])
		VADDPD(low, acc[2*p.index], acc[2*p.index])
		VADDPD(high, acc[2*p.index+1], acc[2*p.index+1])
	})
	Store(v.horizontal64(acc...), ReturnIndex(0))
	end()

	v.function("dot", "func(x, y *float32, n int) float64")
	r = args("x", "y", "n")
	acc = v.zeros(4)
	v.each(r[2], 2, func(p place) {
		xl, xh := v.widened(p, r[0])
		yl, yh := v.widened(p, r[1])
		VFMADD231PD(xl, yl, acc[2*p.index])
		VFMADD231PD(xh, yh, acc[2*p.index+1])
	})
	Store(v.horizontal64(acc...), ReturnIndex(0))
	end()

	v.function("sumExp", "func(x *float32, n int, shift float32) float64")
	r = args("x", "n")
	shift := v.broadcast(argument("shift"))
	acc = v.zeros(2)
	none := v.zero()
	v.each(r[1], 1, func(p place) {
		x := p.load(r[0])
		VSUBPS(shift, x, x)
		v.add64(p.only(v.exp(x), none), acc)
	})
	Store(v.horizontal64(acc...), ReturnIndex(0))
	end()

	// NaN elements are counted apart, since VMAXPS would lose them.
	v.function("max", "func(x *float32, n int) float32")
	r = args("x", "n")
	top, nan := v.constant(math.Inf(-1)), v.zero()
	least := v.copied(top)
	v.each(r[1], 1, func(p place) {
		x := p.only(p.load(r[0]), least)
		VMAXPS(top, x, top)
		if v == avx512 {
			k := K()
			VCMPPS(unordered, x, x, k)
			VMOVAPS(x, k, nan)
			return
		}
		u := v.reg()
		VCMPPS(unordered, x, x, u)
		VORPS(u, nan, nan)
	})
	// A sum is NaN if a part of it is. NaN lanes may hold all ones, itself NaN.
	result, spoilt := v.horizontal(top, VMAXPS), v.horizontal(nan, VADDPS)
	VADDSS(spoilt, result, result)
	Store(result, ReturnIndex(0))
	end()
}

// widened loads both halves of a place in float64.
func (v level) widened(p place, base Register) (low, high VecVirtual) {
	if p.mask != nil {
		return v.doubles(p.load(base))
	}
	low, high = v.reg(), v.reg()
	from := p.at(base)
	VCVTPS2PD(from, low)
	from.Disp += v.width() / 2
	VCVTPS2PD(from, high)
	return low, high
}

// add64 adds x to two registers of float64.
func (v level) add64(x VecVirtual, acc []VecVirtual) {
	low, high := v.doubles(x)
	VADDPD(low, acc[0], acc[0])
	VADDPD(high, acc[1], acc[1])
}

// columns writes sum += the rows of x, which are stride bytes apart. sum is
// float64.
func (v level) columns() {
	v.function("addRows", "func(sum *float64, x *float32, rows, stride, n int)")
	r := args("sum", "x", "rows", "stride", "n")
	registers := 4
	if v == avx512 {
		registers = 8
	}
	v.steps(r[4], registers, func(step []place) {
		from, left := GP64(), GP64()
		MOVQ(r[1], from)
		MOVQ(r[2], left)
		var acc []VecVirtual
		for _, p := range step {
			for _, h := range p.halves() {
				acc = append(acc, h.load(r[0]))
			}
		}
		loop := label("row")
		Label(loop)
		for i, p := range step {
			low, high := v.widened(p, from)
			VADDPD(low, acc[2*i], acc[2*i])
			VADDPD(high, acc[2*i+1], acc[2*i+1])
		}
		ADDQ(r[3], from)
		DECQ(left)
		JNE(LabelRef(loop))
		for i, p := range step {
			for j, h := range p.halves() {
				h.store(acc[2*i+j], r[0])
			}
		}
	})
	end()
}

// half is where the float64 of one half of a place are.
type half struct {
	place
	number int
}

// halves divides a place.
func (p place) halves() []half {
	if p.mask == nil {
		return []half{{p, 0}, {p, 1}}
	}
	low, high := p, p
	if p.v == avx512 {
		k := K()
		KSHIFTRW(Imm(8), p.mask.k, k)
		high.mask = &mask{k: k}
	} else {
		l, h, x := YMM(), YMM(), XMM()
		VPMOVSXDQ(p.mask.y.AsX(), l)
		VEXTRACTI128(Imm(1), p.mask.y, x)
		VPMOVSXDQ(x, h)
		low.mask, high.mask = &mask{y: l}, &mask{y: h}
	}
	return []half{{low, 0}, {high, 1}}
}

// at is the place in the array of float64 that starts at base.
func (h half) at(base Register) Mem {
	return Mem{Base: base, Index: h.offset, Scale: 2, Disp: (2*h.index + h.number) * h.v.width()}
}

func (h half) load(base Register) VecVirtual {
	r := h.v.reg()
	switch {
	case h.mask == nil:
		VMOVUPD(h.at(base), r)
	case h.v == avx512:
		VMOVUPD_Z(h.at(base), h.mask.k, r)
	default:
		VMASKMOVPD(h.at(base), h.mask.y, r)
	}
	return r
}

func (h half) store(r VecVirtual, base Register) {
	switch {
	case h.mask == nil:
		VMOVUPD(r, h.at(base))
	case h.v == avx512:
		VMOVUPD(r, h.mask.k, h.at(base))
	default:
		VMASKMOVPD(r, h.mask.y, h.at(base))
	}
}
