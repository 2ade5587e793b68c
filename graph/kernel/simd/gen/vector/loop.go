package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// place is a register's width of elements of the arrays a loop goes through.
type place struct {
	v      level
	offset Register // bytes from the start
	index  int      // among the registers of one step
	mask   *mask    // nil if all lanes count
}

// mask selects the first lanes of a register.
type mask struct {
	k Register   // AVX-512
	y VecVirtual // AVX2
}

// window holds eight ones, then eight zeros: the mask of n lanes starts 8−n
// words in.
var window *Mem

// first selects the first n lanes, 0 < n < lanes.
func (v level) first(n GPVirtual) *mask {
	if v == avx512 {
		ones := GP64()
		MOVQ(I32(-1), ones)
		BZHIQ(n, ones, ones)
		k := K()
		KMOVW(ones.As32(), k)
		return &mask{k: k}
	}
	if window == nil {
		m := GLOBL("window", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(uint32(i/8)-1))
		}
		window = &m
	}
	base, back := GP64(), GP64()
	LEAQ(*window, base)
	MOVQ(n, back)
	NEGQ(back)
	y := YMM()
	VMOVDQU(Mem{Base: base, Index: back, Scale: 4, Disp: 32}, y)
	return &mask{y: y}
}

// at is the place in the array that starts at base.
func (p place) at(base Register) Mem {
	return Mem{Base: base, Index: p.offset, Scale: 1, Disp: p.index * p.v.width()}
}

// load reads the elements, 0 in the lanes that do not count.
func (p place) load(base Register) VecVirtual {
	r := p.v.reg()
	switch {
	case p.mask == nil:
		VMOVUPS(p.at(base), r)
	case p.v == avx512:
		VMOVUPS_Z(p.at(base), p.mask.k, r)
	default:
		VMASKMOVPS(p.at(base), p.mask.y, r)
	}
	return r
}

// operand is the elements as a source of an instruction.
func (p place) operand(base Register) Op {
	if p.mask == nil {
		return p.at(base)
	}
	return p.load(base)
}

// store writes the lanes that count.
func (p place) store(r VecVirtual, base Register) {
	switch {
	case p.mask == nil:
		VMOVUPS(r, p.at(base))
	case p.v == avx512:
		VMOVUPS(r, p.mask.k, p.at(base))
	default:
		VMASKMOVPS(r, p.mask.y, p.at(base))
	}
}

// only is r with other in the lanes that do not count.
func (p place) only(r, other VecVirtual) VecVirtual {
	if p.mask == nil {
		return r
	}
	t := p.v.copied(other)
	if p.v == avx512 {
		VMOVAPS(r, p.mask.k, t)
	} else {
		VBLENDVPS(p.mask.y, r, t, t)
	}
	return t
}

// labels counts labels, which must differ within a function.
var labels int

func label(name string) string {
	labels++
	return fmt.Sprintf("%s%d", name, labels)
}

// steps goes through n elements by steps of so many registers, then of one, and
// last through the lanes that are left. body handles all registers of a step.
func (v level) steps(n GPVirtual, registers int, body func(step []place)) {
	offset, rest := GP64(), GP64()
	XORQ(offset, offset)
	MOVQ(n, rest)
	for _, r := range []int{registers, 1} {
		loop, next := label("loop"), label("next")
		SUBQ(U32(uint32(r*v.lanes())), rest)
		JLT(LabelRef(next))
		Label(loop)
		step := make([]place, r)
		for i := range step {
			step[i] = place{v, offset, i, nil}
		}
		body(step)
		ADDQ(U32(uint32(r*v.width())), offset)
		SUBQ(U32(uint32(r*v.lanes())), rest)
		JGE(LabelRef(loop))
		Label(next)
		ADDQ(U32(uint32(r*v.lanes())), rest)
		if r == 1 {
			break
		}
	}
	last := label("end")
	TESTQ(rest, rest)
	JE(LabelRef(last))
	body([]place{{v, offset, 0, v.first(rest)}})
	Label(last)
}

// each goes through n elements register by register, several in one step.
func (v level) each(n GPVirtual, registers int, body func(p place)) {
	v.steps(n, registers, func(step []place) {
		for _, p := range step {
			body(p)
		}
	})
}
