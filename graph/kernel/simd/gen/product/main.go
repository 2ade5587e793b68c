// Command product writes the kernels of matrix products.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!noasm")
	laneMask()
	for rows := 1; rows <= 14; rows++ {
		avx512.tile(rows, 1)
		avx512.tile(rows, 2)
	}
	for rows := 1; rows <= 6; rows++ {
		avx512.tile(rows, 4)
	}
	for rows := 1; rows <= 6; rows++ {
		avx2.tile(rows, 1)
		avx2.tile(rows, 2)
	}
	transpose8()
	avx512.copyPanel()
	avx2.copyPanel()
	copyRows()
	prefetch()
	dots(4)
	dots(1)
	for _, s := range []isa{avx512, avx2} {
		s.axpys(8)
		s.axpys(1)
	}
	Generate()
}

// isa is a width of vectors.
type isa struct {
	name  string
	bytes int // of a vector
	v     []VecPhysical
}

func (i isa) lanes() int { return i.bytes / 4 }

var (
	avx512 = isa{"512", 64, []VecPhysical{Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}}
	avx2 = isa{"256", 32, []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}}
)

// masks is a table whose 8 numbers from 8−n on select the first n lanes.
var masks Mem

func laneMask() {
	masks = GLOBL("productMasks", RODATA|NOPTR)
	for i := range 16 {
		DATA(i*4, U32(uint32(int32(i-8)>>31)))
	}
}

// rows addresses the rows of a matrix, stride bytes apart, from a base for
// every five of them.
type rows struct {
	base           []GPVirtual
	stride, triple GPVirtual
}

func newRows(p Register, stride GPVirtual, n int) rows {
	r := rows{stride: stride}
	if n > 3 {
		r.triple = GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, r.triple)
	}
	for i := 0; i < n; i += 5 {
		b := GP64()
		if i == 0 {
			MOVQ(p, b)
		} else {
			LEAQ(Mem{Base: r.base[len(r.base)-1], Index: stride, Scale: 4}, b)
			ADDQ(stride, b)
		}
		r.base = append(r.base, b)
	}
	return r
}

// at is the operand disp bytes into row i.
func (r rows) at(i, disp int) Mem {
	m := Mem{Base: r.base[i/5], Disp: disp}
	switch i % 5 {
	case 1:
		m.Index, m.Scale = r.stride, 1
	case 2:
		m.Index, m.Scale = r.stride, 2
	case 3:
		m.Index, m.Scale = r.triple, 1
	case 4:
		m.Index, m.Scale = r.stride, 4
	}
	return m
}

func param(name string) GPVirtual { return Load(Param(name), GP64()).(GPVirtual) }
