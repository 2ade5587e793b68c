package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const tileSignature = "func(k int, a *float32, rsa, csa int, b *float32, rsb int, c *float32, ldc int, alpha float32, acc, tail int)"

// tile computes C = α A B, plus C if acc is not 0, for a tile of C of n rows
// and nv vectors. Element (i, l) of A is at a + i·rsa + l·csa, row l of B at
// b + l·rsb, strides being bytes. Only tail lanes of the last vector of C
// exist; with AVX-512 this holds for B too.
func (s isa) tile(n, nv int) {
	maskB := s.bytes == 64
	TEXT(fmt.Sprintf("tile%s_%dx%d", s.name, n, nv), NOSPLIT, tileSignature)
	Pragma("noescape")
	t := &tile{isa: s, nv: nv}
	k := param("k")
	ap := param("a")
	rsa, csa := param("rsa"), param("csa")
	b, rsb := param("b"), param("rsb")
	if maskB {
		t.mask(nil)
	}
	a := newRows(ap, rsa, n)
	used := 0
	for range n {
		t.acc = append(t.acc, s.v[used:used+nv])
		used += nv
	}
	for _, r := range s.v[:used] {
		if s.bytes == 64 {
			VPXORD(r, r, r)
		} else {
			VXORPS(r, r, r)
		}
	}
	spare := s.v[used:]
	step := func() {
		t.step(a, b, spare, maskB)
		for _, p := range a.base {
			ADDQ(csa, p)
		}
		ADDQ(rsb, b)
	}
	s.loop(k, n, nv, step)
	t.store(n)
}

// tile is the state of one kernel.
type tile struct {
	isa
	nv  int
	acc [][]VecPhysical // by row
	my  VecPhysical     // AVX2's mask; AVX-512's is K1
}

// mask prepares the mask of the last vector.
func (t *tile) mask(r VecPhysical) {
	tail := param("tail")
	if t.bytes == 64 {
		m := GP32()
		MOVQ(tail, RCX)
		MOVL(U32(1), m)
		SHLL(CL, m)
		DECL(m)
		KMOVW(m, K1)
		return
	}
	t.my = r
	p := GP64()
	LEAQ(masks, p)
	NEGQ(tail)
	VMOVUPS(Mem{Base: p, Index: tail, Scale: 4, Disp: 32}, r)
}

// step adds the products of one column of A and one row of B. It keeps the
// vectors of B in registers if there is room, otherwise the elements of A.
func (t *tile) step(a rows, b Register, spare []VecPhysical, maskB bool) {
	n := len(t.acc)
	if n*t.nv+t.nv+1 <= len(t.v) {
		bv, bc := spare[:t.nv], spare[t.nv:]
		for j := range t.nv {
			t.loadB(b, j, bv[j], maskB)
		}
		for i := range n {
			if t.nv == 1 && t.bytes == 64 {
				VFMADD231PS_BCST(a.at(i, 0), bv[0], t.acc[i][0])
				continue
			}
			x := bc[i%len(bc)]
			VBROADCASTSS(a.at(i, 0), x)
			for j := range t.nv {
				VFMADD231PS(bv[j], x, t.acc[i][j])
			}
		}
		return
	}
	bc, bv := spare[:n], spare[n:]
	for i := range n {
		VBROADCASTSS(a.at(i, 0), bc[i])
	}
	for j := range t.nv {
		x := bv[j%len(bv)]
		t.loadB(b, j, x, maskB)
		for i := range n {
			VFMADD231PS(x, bc[i], t.acc[i][j])
		}
	}
}

func (t *tile) loadB(b Register, j int, dst VecPhysical, masked bool) {
	m := Mem{Base: b, Disp: t.bytes * j}
	switch {
	case !masked || j < t.nv-1:
		VMOVUPS(m, dst)
	case t.bytes == 64:
		VMOVUPS_Z(m, K1, dst)
	default:
		VMASKMOVPS(m, t.my, dst)
	}
}

// loop runs step k times. It prefetches the tile of C 48 steps before the end:
// earlier would push A and B out of the nearest cache, and with fewer steps it
// costs more than it saves.
func (s isa) loop(k GPVirtual, n, nv int, step func()) {
	const ahead = 48
	unroll := 1
	if n*nv <= 16 {
		unroll = 2
	}
	rest := GP64()
	TESTQ(k, k)
	JE(LabelRef("done"))
	CMPQ(k, Imm(ahead+12))
	JGE(LabelRef("long"))
	XORQ(rest, rest)
	JMP(LabelRef("start"))
	Label("long")
	SUBQ(Imm(ahead), k)
	MOVQ(U32(ahead), rest)
	Label("start")
	if unroll == 2 {
		odd := GP64()
		MOVQ(k, odd)
		ANDQ(Imm(1), odd)
		JE(LabelRef("even"))
		step()
		Label("even")
		SHRQ(Imm(1), k)
		JE(LabelRef("next"))
	}
	Label("loop")
	for range unroll {
		step()
	}
	DECQ(k)
	JNE(LabelRef("loop"))
	if unroll == 2 {
		Label("next")
	}
	TESTQ(rest, rest)
	JE(LabelRef("done"))
	c, ldc := param("c"), param("ldc")
	for i := range n {
		for d := 0; d < nv*s.bytes; d += 64 {
			PREFETCHT0(Mem{Base: c, Disp: d})
		}
		if i < n-1 {
			ADDQ(ldc, c)
		}
	}
	MOVQ(U32(uint32(ahead/unroll)), k)
	XORQ(rest, rest)
	JMP(LabelRef("loop"))
	Label("done")
}

// store writes α times the sums, plus C if acc is not 0.
func (t *tile) store(n int) {
	c, ldc, acc := param("c"), param("ldc"), param("acc")
	rows := newRows(c, ldc, n)
	alpha := t.v[len(t.v)-2] // no sum: tiles leave at least two registers
	p, _ := Param("alpha").Resolve()
	VBROADCASTSS(p.Addr, alpha)
	if t.bytes == 32 {
		t.mask(t.v[len(t.v)-1])
	}
	TESTQ(acc, acc)
	JE(LabelRef("store"))
	for i, vs := range t.acc {
		for j, v := range vs {
			m := rows.at(i, t.bytes*j)
			switch {
			case j < t.nv-1:
				VFMADD213PS(m, alpha, v)
				VMOVUPS(v, m)
			case t.bytes == 64:
				VFMADD213PS_Z(m, alpha, K1, v)
				VMOVUPS(v, K1, m)
			default:
				old := t.v[len(t.v)-3] // held B
				VMASKMOVPS(m, t.my, old)
				VFMADD213PS(old, alpha, v)
				VMASKMOVPS(v, t.my, m)
			}
		}
	}
	VZEROUPPER()
	RET()
	Label("store")
	for i, vs := range t.acc {
		for j, v := range vs {
			VMULPS(alpha, v, v)
			m := rows.at(i, t.bytes*j)
			switch {
			case j < t.nv-1:
				VMOVUPS(v, m)
			case t.bytes == 64:
				VMOVUPS(v, K1, m)
			default:
				VMASKMOVPS(v, t.my, m)
			}
		}
	}
	VZEROUPPER()
	RET()
}
