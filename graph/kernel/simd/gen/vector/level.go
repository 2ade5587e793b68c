package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// level is the set of instructions a kernel is written in.
type level bool

const (
	avx2   level = false // eight float32 a register
	avx512 level = true  // sixteen
)

// lanes is how many float32 a register holds, width how many bytes.
func (v level) lanes() int {
	if v == avx512 {
		return 16
	}
	return 8
}

func (v level) width() int { return 4 * v.lanes() }

func (v level) reg() VecVirtual {
	if v == avx512 {
		return ZMM()
	}
	return YMM()
}

// half is a register of half the width.
func (v level) half() VecVirtual {
	if v == avx512 {
		return YMM()
	}
	return XMM()
}

// low is the lower half of a register.
func (v level) low(x VecVirtual) Register {
	if v == avx512 {
		return x.AsY()
	}
	return x.AsX()
}

// function begins a kernel. Pointers do not escape through it.
func (v level) function(name, signature string) {
	if v == avx512 {
		name += "AVX512"
	} else {
		name += "AVX2"
	}
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
}

// end leaves a kernel.
func end() {
	VZEROUPPER()
	RET()
}

// arg loads an argument that is a pointer or an integer.
func arg(name string) GPVirtual { return Load(Param(name), GP64()).(GPVirtual) }

// args loads several.
func args(names ...string) []GPVirtual {
	out := make([]GPVirtual, len(names))
	for i, name := range names {
		out[i] = arg(name)
	}
	return out
}

// argument is where an argument lies on the stack.
func argument(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// broadcast fills a register with one float32 from memory or another register.
func (v level) broadcast(x Op) VecVirtual {
	r := v.reg()
	VBROADCASTSS(x, r)
	return r
}

// broadcast64 fills a register with one float64 of a register.
func (v level) broadcast64(x Op) VecVirtual {
	r := v.reg()
	VBROADCASTSD(x, r)
	return r
}

func (v level) copied(x VecVirtual) VecVirtual {
	r := v.reg()
	VMOVAPS(x, r)
	return r
}

func (v level) zero() VecVirtual {
	r := v.reg()
	if v == avx512 {
		VPXORD(r, r, r)
	} else {
		VXORPS(r, r, r)
	}
	return r
}

// zeros is several registers of 0.
func (v level) zeros(n int) []VecVirtual {
	rs := make([]VecVirtual, n)
	for i := range rs {
		rs[i] = v.zero()
	}
	return rs
}

// constants are the constants written so far, by their bits.
var constants = map[string]Mem{}

// constant is a vector of sixteen equal numbers in memory, rounded to float32.
func constant(x float64) Mem { return bits(math.Float32bits(float32(x))) }

func bits(b uint32) Mem {
	name := fmt.Sprintf("vector%08x", b)
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(b))
		}
		constants[name] = m
	}
	return m
}

// wideBits is a vector of eight equal 64-bit words in memory.
func wideBits(b uint64) Mem {
	name := fmt.Sprintf("vector%016x", b)
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := range 8 {
			DATA(8*i, U64(b))
		}
		constants[name] = m
	}
	return m
}

// double is a float64 in memory, repeated.
func double(x float64) Mem { return wideBits(math.Float64bits(x)) }

// load64 is a register of equal 64-bit words.
func (v level) load64(b uint64) VecVirtual {
	r := v.reg()
	VMOVUPS(wideBits(b), r)
	return r
}

func (v level) constant(x float64) VecVirtual {
	r := v.reg()
	VMOVUPS(constant(x), r)
	return r
}

// and sets d to the bitwise x ∧ m.
func (v level) and(m Op, x, d VecVirtual) {
	if v == avx512 {
		VPANDD(m, x, d)
	} else {
		VANDPS(m, x, d)
	}
}

// or sets d to the bitwise x ∨ m.
func (v level) or(m Op, x, d VecVirtual) {
	if v == avx512 {
		VPORD(m, x, d)
	} else {
		VORPS(m, x, d)
	}
}

// magnitude is |x|.
func (v level) magnitude(x VecVirtual) VecVirtual {
	r := v.reg()
	v.and(bits(0x7fffffff), x, r)
	return r
}

// Comparisons, all but the last false of NaN.
const (
	less      = U8(1)
	atMost    = U8(2)
	greater   = U8(14)
	unordered = U8(3) // either is NaN
)

// choose sets d to y where x satisfies the comparison with c, and leaves it
// elsewhere.
func (v level) choose(how Constant, c Op, x, y, d VecVirtual) {
	if v == avx512 {
		k := K()
		VCMPPS(how, c, x, k)
		VMOVAPS(y, k, d)
		return
	}
	m := v.reg()
	VCMPPS(how, c, x, m)
	VBLENDVPS(m, y, d, d)
}

// horizontal combines the lanes of a register by op into the lowest.
func (v level) horizontal(r VecVirtual, op func(ops ...Op)) VecVirtual {
	y := YMM()
	if v == avx512 {
		VEXTRACTF64X4(Imm(1), r, y)
		op(y, r.AsY(), y)
	} else {
		VMOVAPS(r, y)
	}
	x, t := XMM(), XMM()
	VEXTRACTF128(Imm(1), y, x)
	op(y.AsX(), x, x)
	VPERMILPS(Imm(0x4e), x, t)
	op(t, x, x)
	VPERMILPS(Imm(0xb1), x, t)
	op(t, x, x)
	return x
}

// horizontal64 adds up the float64 lanes of registers into the lowest lane of
// one.
func (v level) horizontal64(rs ...VecVirtual) VecVirtual {
	sum := rs[0]
	for _, r := range rs[1:] {
		VADDPD(r, sum, sum)
	}
	y := YMM()
	if v == avx512 {
		VEXTRACTF64X4(Imm(1), sum, y)
		VADDPD(y, sum.AsY(), y)
	} else {
		VMOVAPS(sum, y)
	}
	x, t := XMM(), XMM()
	VEXTRACTF128(Imm(1), y, x)
	VADDPD(y.AsX(), x, x)
	VPERMILPD(Imm(1), x, t)
	VADDSD(t, x, x)
	return x
}

// doubles gives both halves of x in float64.
func (v level) doubles(x VecVirtual) (low, high VecVirtual) {
	low, high = v.reg(), v.reg()
	h := v.half()
	if v == avx512 {
		VEXTRACTF64X4(Imm(1), x, h)
	} else {
		VEXTRACTF128(Imm(1), x, h)
	}
	VCVTPS2PD(v.low(x), low)
	VCVTPS2PD(h, high)
	return low, high
}
