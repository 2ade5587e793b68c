package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// bytesAVX512 writes dst = m q for rows of signed bytes with the instructions
// VNNI. They multiply unsigned by signed bytes, so 128 is added to those of m
// and 128 Σ q taken off.
func bytesAVX512() {
	avx512.function("dotBytes", "func(dst *int32, m, q *int8, rows, n int)")
	r := args("dst", "m", "q", "rows", "n")
	dst, m, q, rows, n := r[0], r[1], r[2], r[3], r[4]
	flip := ZMM()
	VMOVDQU32(bits(0x80808080), flip)
	over := avx512.zero()
	byteSteps(n, 1, func(_ int, at func(Register) Mem, k Register) {
		b := ZMM()
		loadBytes(at(q), k, b)
		VPDPBUSD(b, flip, over)
	})
	excess := sumWords(over)

	next := label("row")
	Label(next)
	acc := avx512.zeros(4)
	byteSteps(n, 4, func(i int, at func(Register) Mem, k Register) {
		a, b := ZMM(), ZMM()
		loadBytes(at(m), k, a)
		loadBytes(at(q), k, b)
		VPXORD(flip, a, a)
		VPDPBUSD(b, a, acc[i])
	})
	VPADDD(acc[1], acc[0], acc[0])
	VPADDD(acc[3], acc[2], acc[2])
	VPADDD(acc[2], acc[0], acc[0])
	total := sumWords(acc[0])
	SUBL(excess, total)
	MOVL(total, Mem{Base: dst})
	ADDQ(n, m)
	ADDQ(Imm(4), dst)
	DECQ(rows)
	JNE(LabelRef(next))
	end()
}

// loadBytes loads 64 bytes, or those that k selects.
func loadBytes(from Mem, k Register, to VecVirtual) {
	if k == nil {
		VMOVDQU8(from, to)
	} else {
		VMOVDQU8_Z(from, k, to)
	}
}

// byteSteps goes through n bytes, 64 at a time and so many times in one step.
func byteSteps(n GPVirtual, times int, body func(i int, at func(Register) Mem, k Register)) {
	offset, rest := GP64(), GP64()
	XORQ(offset, offset)
	MOVQ(n, rest)
	for _, r := range []int{times, 1} {
		loop, next := label("loop"), label("next")
		SUBQ(U32(uint32(64*r)), rest)
		JLT(LabelRef(next))
		Label(loop)
		for i := range r {
			body(i, func(b Register) Mem { return Mem{Base: b, Index: offset, Scale: 1, Disp: 64 * i} }, nil)
		}
		ADDQ(U32(uint32(64*r)), offset)
		SUBQ(U32(uint32(64*r)), rest)
		JGE(LabelRef(loop))
		Label(next)
		ADDQ(U32(uint32(64*r)), rest)
		if r == 1 {
			break
		}
	}
	last := label("end")
	TESTQ(rest, rest)
	JE(LabelRef(last))
	ones, k := GP64(), K()
	MOVQ(I32(-1), ones)
	BZHIQ(rest, ones, ones)
	KMOVQ(ones, k)
	body(0, func(b Register) Mem { return Mem{Base: b, Index: offset, Scale: 1} }, k)
	Label(last)
}

// sumWords adds up the 32-bit lanes of a register.
func sumWords(r VecVirtual) Register {
	y := YMM()
	if r.Size() == 64 {
		VEXTRACTI64X4(Imm(1), r, y)
		VPADDD(r.AsY(), y, y)
	} else {
		VMOVDQA(r, y)
	}
	x, t := XMM(), XMM()
	VEXTRACTI128(Imm(1), y, x)
	VPADDD(y.AsX(), x, x)
	VPSHUFD(Imm(0x4e), x, t)
	VPADDD(t, x, x)
	VPSHUFD(Imm(0xb1), x, t)
	VPADDD(t, x, x)
	sum := GP32()
	VMOVD(x, sum)
	return sum
}

// bytesAVX2 writes the same with sums of two products of 16-bit numbers.
func bytesAVX2() {
	avx2.function("dotBytes", "func(dst *int32, m, q *int8, rows, n int)")
	r := args("dst", "m", "q", "rows", "n")
	dst, m, q, rows, n := r[0], r[1], r[2], r[3], r[4]
	next := label("row")
	Label(next)
	acc := avx2.zeros(2)
	offset := GP64()
	XORQ(offset, offset)
	stop, loop, one, single, last := GP64(), label("loop"), label("one"), label("single"), label("last")
	add := func(i int) {
		a, b := YMM(), YMM()
		VPMOVSXBW(Mem{Base: m, Index: offset, Scale: 1, Disp: 16 * i}, a)
		VPMOVSXBW(Mem{Base: q, Index: offset, Scale: 1, Disp: 16 * i}, b)
		VPMADDWD(b, a, a)
		VPADDD(a, acc[i], acc[i])
	}
	// stop is where the next whole step would end.
	MOVQ(U32(32), stop)
	Label(loop)
	CMPQ(stop, n)
	JG(LabelRef(one))
	add(0)
	add(1)
	ADDQ(Imm(32), offset)
	ADDQ(Imm(32), stop)
	JMP(LabelRef(loop))
	Label(one)
	SUBQ(Imm(16), stop)
	CMPQ(stop, n)
	JG(LabelRef(single))
	add(0)
	ADDQ(Imm(16), offset)
	Label(single)
	VPADDD(acc[1], acc[0], acc[0])
	total := sumWords(acc[0])
	tail := label("tail")
	Label(tail)
	CMPQ(offset, n)
	JGE(LabelRef(last))
	a, b := GP32(), GP32()
	MOVBLSX(Mem{Base: m, Index: offset, Scale: 1}, a)
	MOVBLSX(Mem{Base: q, Index: offset, Scale: 1}, b)
	IMULL(b, a)
	ADDL(a, total)
	INCQ(offset)
	JMP(LabelRef(tail))
	Label(last)
	MOVL(total, Mem{Base: dst})
	ADDQ(n, m)
	ADDQ(Imm(4), dst)
	DECQ(rows)
	JNE(LabelRef(next))
	end()
}
