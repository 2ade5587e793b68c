package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// polynomial is Σ cᵢ xᵈ⁻ⁱ for coefficients c₀, …, c_d, the highest first.
func (v level) polynomial(x VecVirtual, coefficients ...float64) VecVirtual {
	p := v.constant(coefficients[0])
	for _, c := range coefficients[1:] {
		VFMADD213PS(constant(c), x, p)
	}
	return p
}

// exp is eˣ within 1 ulp, with its own limits and NaN as it should be. It
// spoils x. The argument is reduced by a multiple of ln 2 whose first part is
// exact; the polynomial is that of Cephes' expf.
func (v level) exp(x VecVirtual) VecVirtual {
	t, n := v.reg(), v.reg()
	VMOVUPS(constant(-104), t) // below the logarithm of the least number
	VMAXPS(x, t, x)            // NaN stays, being the second source
	VMOVUPS(constant(89), t)   // above that of the greatest
	VMINPS(x, t, x)
	VMULPS(constant(math.Log2E), x, n)
	if v == avx512 {
		VRNDSCALEPS(Imm(8), n, n)
	} else {
		VROUNDPS(Imm(8), n, n)
	}
	VFNMADD231PS(constant(0.693359375), n, x)
	VFNMADD231PS(constant(math.Ln2-0.693359375), n, x)
	p := v.polynomial(x, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
		4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
	VMULPS(x, x, t)
	VFMADD213PS(x, t, p)
	VADDPS(constant(1), p, p)
	if v == avx512 {
		VSCALEFPS(n, p, p)
		return p
	}
	// 2ⁿ may lie outside the range, its halves do not.
	VCVTPS2DQ(n, n)
	VPSRAD(Imm(1), n, t)
	VPSUBD(t, n, n)
	for _, half := range []VecVirtual{t, n} {
		VPADDD(bits(127), half, half)
		VPSLLD(Imm(23), half, half)
		VMULPS(half, p, p)
	}
	return p
}

// decay is e^(−c|x|), c > 0.
func (v level) decay(x VecVirtual, c float64) VecVirtual {
	a := v.reg()
	v.or(bits(0x80000000), x, a)
	if c != 1 {
		VMULPS(constant(c), a, a)
	}
	return v.exp(a)
}

// inverse is 1/(1 + x).
func (v level) inverse(x VecVirtual) VecVirtual {
	d, one := v.reg(), v.constant(1)
	VADDPS(one, x, d)
	VDIVPS(d, one, d)
	return d
}

// sigmoids is σ(x) and σ(x)(1 − σ(x)), neither of which suffers from
// cancellation.
func (v level) sigmoids(x VecVirtual) (s, slope VecVirtual) {
	e := v.decay(x, 1)
	s = v.inverse(e)
	slope = v.reg()
	VMULPS(s, e, e) // the smaller of σ(x) and σ(−x)
	VMULPS(s, e, slope)
	v.choose(less, v.zero(), x, e, s)
	return s, slope
}

// tanh uses an odd polynomial near 0 and (1 − e)/(1 + e) with e = e^(−2|x|)
// elsewhere. Its derivative 4e/(1 + e)² may be left out.
func (v level) tanh(x VecVirtual, derivative bool) (y, d VecVirtual) {
	z := v.reg()
	VMULPS(x, x, z)
	p := v.polynomial(z, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
	VMULPS(z, p, p)
	VFMADD213PS(x, x, p) // x + x p
	e := v.decay(x, 2)
	i := v.inverse(e)
	y = v.constant(1)
	VSUBPS(e, y, y)
	VMULPS(i, y, y)
	sign := v.reg()
	v.and(bits(0x80000000), x, sign)
	v.or(sign, y, y)
	v.choose(less, constant(0.625), v.magnitude(x), p, y)
	if derivative {
		d = v.slope4(e, i)
	}
	return y, d
}

// tanhSlope is the derivative of tanh.
func (v level) tanhSlope(x VecVirtual) VecVirtual {
	e := v.decay(x, 2)
	return v.slope4(e, v.inverse(e))
}

// slope4 is 4e i². It spoils e.
func (v level) slope4(e, i VecVirtual) VecVirtual {
	VMULPS(i, e, e)
	VMULPS(i, e, e)
	VMULPS(constant(4), e, e)
	return e
}

// normal is Φ(x), the distribution function of the normal distribution, and
// e^(−x²/2): Φ(−u) = e^(−u²/2) t P(t) with t = 1/(1 + 0.2625 u) for u ≥ 0, P
// fitted to a relative error of 2e-8 up to u = 14.
func (v level) normal(x VecVirtual) (cdf, e VecVirtual) {
	q := v.reg()
	VMULPS(x, x, q)
	VMULPS(constant(-0.5), q, q)
	e = v.exp(q)
	t, one := v.magnitude(x), v.constant(1)
	VFMADD213PS(one, v.constant(0.2625), t)
	VDIVPS(t, one, t)
	tail := v.polynomial(t, 0.030745848676, -0.148812011244, 0.234764619782, -0.133394932264,
		0.149140549973, 0.0558484136388, 0.102818752102, 0.104138865641, 0.104749884959)
	VMULPS(t, tail, tail)
	VMULPS(e, tail, tail)
	cdf = v.copied(tail)
	VSUBPS(tail, one, one)
	v.choose(greater, v.zero(), x, one, cdf)
	return cdf, e
}
