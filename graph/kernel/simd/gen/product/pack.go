package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// transpose8 reads 8·k8 numbers of each of 8 rows, rs bytes apart, and writes
// the 8 numbers of each column to dst, ds bytes apart.
func transpose8() {
	TEXT("transpose8", NOSPLIT, "func(k8 int, src *float32, rs int, dst *float32, ds int)")
	Pragma("noescape")
	y := avx2.v
	k, src, rs := param("k8"), param("src"), param("rs")
	dst, ds := param("dst"), param("ds")
	a := newRows(src, rs, 8)
	ds3, half := GP64(), GP64()
	LEAQ(Mem{Base: ds, Index: ds, Scale: 2}, ds3)
	Label("loop")
	for i := range 8 {
		VMOVUPS(a.at(i, 0), y[i])
	}
	for i := 0; i < 8; i += 2 { // pairs of rows
		VUNPCKLPS(y[i+1], y[i], y[8+i])
		VUNPCKHPS(y[i+1], y[i], y[9+i])
	}
	for i := 0; i < 8; i += 4 { // columns of four rows, two in each register
		for j := range 2 {
			VSHUFPS(Imm(0x44), y[10+i+j], y[8+i+j], y[i+2*j])
			VSHUFPS(Imm(0xee), y[10+i+j], y[8+i+j], y[i+2*j+1])
		}
	}
	for i := range 4 {
		VPERM2F128(Imm(0x20), y[4+i], y[i], y[8+i])
		VPERM2F128(Imm(0x31), y[4+i], y[i], y[12+i])
	}
	for i := range 2 {
		p := Register(dst)
		if i == 1 {
			LEAQ(Mem{Base: dst, Index: ds, Scale: 4}, half)
			p = half
		}
		VMOVUPS(y[8+4*i], Mem{Base: p})
		VMOVUPS(y[9+4*i], Mem{Base: p, Index: ds, Scale: 1})
		VMOVUPS(y[10+4*i], Mem{Base: p, Index: ds, Scale: 2})
		VMOVUPS(y[11+4*i], Mem{Base: p, Index: ds3, Scale: 1})
	}
	LEAQ(Mem{Base: half, Index: ds, Scale: 4}, dst)
	for _, p := range a.base {
		ADDQ(Imm(32), p)
	}
	DECQ(k)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// copyPanel copies k rows of n numbers, rs bytes apart, to rows of two vectors
// filled up with zeros. n is more than the lanes of one vector.
func (s isa) copyPanel() {
	TEXT("copyPanel"+s.name, NOSPLIT, "func(k int, src *float32, rs int, dst *float32, tail int)")
	Pragma("noescape")
	k, src, rs, dst := param("k"), param("src"), param("rs"), param("dst")
	t := &tile{isa: s, nv: 2}
	t.mask(s.v[2])
	Label("loop")
	t.loadB(src, 0, s.v[0], true)
	t.loadB(src, 1, s.v[1], true)
	VMOVUPS(s.v[0], Mem{Base: dst})
	VMOVUPS(s.v[1], Mem{Base: dst, Disp: s.bytes})
	ADDQ(Imm(uint64(2*s.bytes)), dst)
	ADDQ(rs, src)
	DECQ(k)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// copyRows copies the first tail ≤ 16 numbers of each of k rows, rs bytes
// apart, to rows ds bytes apart, and zeros behind them: dst needs 16 numbers
// from the start of the last row.
func copyRows() {
	TEXT("copyRows512", NOSPLIT, "func(k int, src *float32, rs int, dst *float32, ds, tail int)")
	Pragma("noescape")
	k, src, rs, dst, ds := param("k"), param("src"), param("rs"), param("dst"), param("ds")
	t := &tile{isa: avx512, nv: 1}
	t.mask(nil)
	Label("loop")
	t.loadB(src, 0, Z0, true)
	VMOVUPS(Z0, Mem{Base: dst})
	ADDQ(rs, src)
	ADDQ(ds, dst)
	DECQ(k)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// dots computes the inner products of x with n rows of w, ldw bytes apart, over
// k numbers. A row's result does not depend on n.
func dots(n int) {
	TEXT(fmt.Sprintf("dots%d", n), NOSPLIT, "func(k int, x, w *float32, ldw int, y *float32)")
	Pragma("noescape")
	k, x, w, ldw, y := param("k"), param("x"), param("w"), param("ldw"), param("y")
	v := avx2.v
	for i := range 2 * n {
		VXORPS(v[i], v[i], v[i])
	}
	r := newRows(w, ldw, n)
	advance := func(bytes int) {
		ADDQ(U32(uint32(bytes)), x)
		for _, p := range r.base {
			ADDQ(U32(uint32(bytes)), p)
		}
		SUBQ(U32(uint32(bytes/4)), k)
	}
	Label("two")
	CMPQ(k, Imm(16))
	JL(LabelRef("one"))
	VMOVUPS(Mem{Base: x}, v[8])
	VMOVUPS(Mem{Base: x, Disp: 32}, v[9])
	for i := range n {
		VFMADD231PS(r.at(i, 0), v[8], v[2*i])
		VFMADD231PS(r.at(i, 32), v[9], v[2*i+1])
	}
	advance(64)
	JMP(LabelRef("two"))
	Label("one")
	CMPQ(k, Imm(8))
	JL(LabelRef("part"))
	VMOVUPS(Mem{Base: x}, v[8])
	for i := range n {
		VFMADD231PS(r.at(i, 0), v[8], v[2*i])
	}
	advance(32)
	Label("part")
	TESTQ(k, k)
	JE(LabelRef("sum"))
	p := GP64()
	LEAQ(masks, p)
	NEGQ(k)
	VMOVUPS(Mem{Base: p, Index: k, Scale: 4, Disp: 32}, v[10])
	VMASKMOVPS(Mem{Base: x}, v[10], v[8])
	for i := range n {
		VMASKMOVPS(r.at(i, 0), v[10], v[9])
		VFMADD231PS(v[9], v[8], v[2*i])
	}
	Label("sum")
	for i := range n {
		a := v[2*i]
		VADDPS(v[2*i+1], a, a)
		VEXTRACTF128(Imm(1), a, X8)
		VADDPS(X8, a.AsX(), X8)
		VHADDPS(X8, X8, X8)
		VHADDPS(X8, X8, X8)
		VMOVSS(X8, Mem{Base: y, Disp: 4 * i})
	}
	VZEROUPPER()
	RET()
}

// axpys adds x[0]·b[0], x[1]·b[1], …, n rows of B one after the other, to y.
// B's rows are ldb bytes apart.
func (s isa) axpys(n int) {
	TEXT(fmt.Sprintf("axpys%s_%d", s.name, n), NOSPLIT, "func(k int, x, b *float32, ldb int, y *float32)")
	Pragma("noescape")
	k, x, b, ldb, y := param("k"), param("x"), param("b"), param("ldb"), param("y")
	r := newRows(b, ldb, n)
	bc := s.v[8 : 8+n]
	for i, v := range bc {
		VBROADCASTSS(Mem{Base: x, Disp: 4 * i}, v)
	}
	const wide = 4 // vectors at once
	advance := func(vectors int) {
		bytes := U32(uint32(vectors * s.bytes))
		ADDQ(bytes, y)
		for _, p := range r.base {
			ADDQ(bytes, p)
		}
		SUBQ(U32(uint32(vectors*s.lanes())), k)
	}
	loop := func(label, next string, vectors int) {
		Label(label)
		CMPQ(k, U32(uint32(vectors*s.lanes())))
		JL(LabelRef(next))
		for j := range vectors {
			VMOVUPS(Mem{Base: y, Disp: j * s.bytes}, s.v[j])
		}
		for i, v := range bc {
			for j := range vectors {
				VFMADD231PS(r.at(i, j*s.bytes), v, s.v[j])
			}
		}
		for j := range vectors {
			VMOVUPS(s.v[j], Mem{Base: y, Disp: j * s.bytes})
		}
		advance(vectors)
		JMP(LabelRef(label))
	}
	loop("wide", "one", wide)
	loop("one", "part", 1)
	Label("part")
	TESTQ(k, k)
	JE(LabelRef("done"))
	t := &tile{isa: s, nv: 1}
	if s.bytes == 64 {
		m := GP32()
		MOVQ(k, RCX)
		MOVL(U32(1), m)
		SHLL(CL, m)
		DECL(m)
		KMOVW(m, K1)
	} else {
		t.my = s.v[7]
		p := GP64()
		LEAQ(masks, p)
		NEGQ(k)
		VMOVUPS(Mem{Base: p, Index: k, Scale: 4, Disp: 32}, t.my)
	}
	t.loadB(y, 0, s.v[0], true)
	for i, v := range bc {
		if s.bytes == 64 {
			VMOVUPS_Z(r.at(i, 0), K1, s.v[1])
		} else {
			VMASKMOVPS(r.at(i, 0), t.my, s.v[1])
		}
		VFMADD231PS(s.v[1], v, s.v[0])
	}
	if s.bytes == 64 {
		VMOVUPS(s.v[0], K1, Mem{Base: y})
	} else {
		VMASKMOVPS(s.v[0], t.my, Mem{Base: y})
	}
	Label("done")
	VZEROUPPER()
	RET()
}

// prefetch asks for n lines of 64 bytes.
func prefetch() {
	TEXT("prefetch", NOSPLIT, "func(p *float32, n int)")
	Pragma("noescape")
	p, n := param("p"), param("n")
	Label("loop")
	PREFETCHT1(Mem{Base: p})
	ADDQ(Imm(64), p)
	DECQ(n)
	JNE(LabelRef("loop"))
	RET()
}
