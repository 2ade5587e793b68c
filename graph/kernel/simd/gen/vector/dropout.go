package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// golden is 2⁶⁴ over the golden ratio, the step of SplitMix64.
const golden uint64 = 0x9e3779b97f4a7c15

// dropout writes y = scale x, or 0 x where the number of SplitMix64 is below
// drop. state is that of the first element.
func (v level) dropout() {
	v.function("dropout", "func(y, x *float32, n int, state, drop uint64, scale float32)")
	r := args("y", "x", "n")
	scale := v.broadcast(argument("scale"))
	wide := v.lanes() / 2
	if splitmix == nil {
		m := GLOBL("splitmix", RODATA|NOPTR)
		for i := range 8 {
			DATA(8*i, U64(uint64(i)*golden))
		}
		splitmix = &m
	}
	x := XMM()
	VMOVQ(argument("state"), x)
	var state [2]VecVirtual
	state[0] = v.broadcast64(x)
	VPADDQ(*splitmix, state[0], state[0])
	state[1] = v.load64(uint64(wide) * golden)
	VPADDQ(state[1], state[0], state[1])
	limit := XMM()
	VMOVQ(argument("drop"), limit)
	drop := v.broadcast64(limit)
	if v == avx2 { // compares signed
		VPXOR(wideBits(1<<63), drop, drop)
	}
	v.each(r[2], 1, func(p place) {
		var below [2]Register
		for i, s := range state {
			z := v.splitMix(s)
			if v == avx512 {
				k := K()
				VPCMPUQ(Imm(1), drop, z, k) // z < drop
				below[i] = k
			} else {
				VPXOR(wideBits(1<<63), z, z)
				VPCMPGTQ(z, drop, z)
				below[i] = z
			}
			VPADDQ(wideBits(uint64(v.lanes())*golden), s, s)
		}
		factor := v.copied(scale)
		if v == avx512 {
			k := K()
			KUNPCKBW(below[0], below[1], k)
			VXORPS(factor, factor, k, factor)
		} else {
			t := YMM()
			VSHUFPS(Imm(0x88), below[1], below[0], t)
			VPERMQ(Imm(0xd8), t, t)
			VANDNPS(factor, t, factor)
		}
		VMULPS(p.load(r[1]), factor, factor) // NaN stays NaN
		p.store(factor, r[0])
	})
	end()
}

// splitmix holds the multiples of golden for eight lanes.
var splitmix *Mem

// splitMix is the output of SplitMix64 for states s.
func (v level) splitMix(s VecVirtual) VecVirtual {
	z := v.copied(s)
	for _, f := range []struct{ shift, factor uint64 }{{30, 0xbf58476d1ce4e5b9}, {27, 0x94d049bb133111eb}, {31, 1}} {
		t := v.reg()
		VPSRLQ(Imm(f.shift), z, t)
		if v == avx512 {
			VPXORQ(t, z, z)
			if f.factor != 1 {
				VPMULLQ(wideBits(f.factor), z, z)
			}
			continue
		}
		VPXOR(t, z, z)
		if f.factor == 1 {
			continue
		}
		// The product's high part of 32 bits, then the low one.
		upper, cross := v.reg(), v.reg()
		VPSRLQ(Imm(32), z, upper)
		VPMULUDQ(wideBits(f.factor), upper, upper)
		VPMULUDQ(wideBits(f.factor>>32), z, cross)
		VPADDQ(cross, upper, upper)
		VPSLLQ(Imm(32), upper, upper)
		VPMULUDQ(wideBits(f.factor), z, z)
		VPADDQ(upper, z, z)
	}
	return z
}
