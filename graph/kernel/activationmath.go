package kernel

import (
	"math"
	"unsafe"
)

// The functions of this file have float64 forms from package math, and float32
// forms that are several times as fast and accurate to about 1e-7 of the
// result, or of 1 where it is smaller.

// single reports whether T is float32. The compiler decides it, and removes
// the branch not taken.
func single[T Float]() bool {
	var x T
	return unsafe.Sizeof(x) == 4
}

// exp is eˣ.
func exp[T Float](x T) T {
	if single[T]() {
		return T(exp32(float32(x)))
	}
	return T(math.Exp(float64(x)))
}

// sigmoid is σ(x) = 1/(1 + e⁻ˣ).
func sigmoid[T Float](x T) T { return 1 / (1 + exp(-x)) }

// sigmoids is σ(x) and 1 − σ(x), neither of which suffers from cancellation.
func sigmoids[T Float](x T) (s, rest T) {
	if x < 0 {
		e := exp(x)
		rest = 1 / (1 + e)
		return e * rest, rest
	}
	e := exp(-x)
	s = 1 / (1 + e)
	return s, e * s
}

// tanh is the hyperbolic tangent.
func tanh[T Float](x T) T {
	if single[T]() {
		return T(tanh32(float32(x)))
	}
	return T(math.Tanh(float64(x)))
}

// normal is the distribution function Φ(x) of the normal distribution, and
// exp(−x²/2), to which its derivative is proportional.
func normal[T Float](x T) (cdf, e T) {
	if single[T]() {
		c, e := normal32(float32(x))
		return T(c), T(e)
	}
	v := float64(x)
	return T(0.5 * math.Erfc(-v/math.Sqrt2)), T(math.Exp(-0.5 * v * v))
}

const (
	maxExp32 = 88.72284 // ln of the greatest float32
	minExp32 = -104     // below ln of the least one
	// ln 2 in two parts; multiples of the first are exact.
	ln2Hi = 0.693359375
	ln2Lo = math.Ln2 - ln2Hi
	// nearest rounds to a whole number when added and subtracted.
	nearest = 3 << 22
)

// exp32 reduces x to r = x − n ln 2, |r| ≤ ln 2 / 2, where Taylor's polynomial
// of degree 7 is exact to 5e-9.
func exp32(x float32) float32 {
	switch {
	case x > maxExp32:
		return float32(math.Inf(1))
	case x < minExp32:
		return 0
	case x != x:
		return x
	}
	n := float32(x*math.Log2E) + nearest
	n -= nearest
	r := float32(x-n*ln2Hi) - n*ln2Lo
	p := float32(1.0 / 5040)
	p = p*r + 1.0/720
	p = p*r + 1.0/120
	p = p*r + 1.0/24
	p = p*r + 1.0/6
	p = p*r + 0.5
	p = p*r + 1
	p = p*r + 1
	// 2ⁿ may lie outside the range of float32, its halves do not.
	i := int32(n)
	half := i >> 1
	return p * power2(half) * power2(i-half)
}

// power2 is 2ⁿ for −126 ≤ n ≤ 127.
func power2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// tanh32 uses x + x³P(x²) near 0, P fitted to 3e-9, and 1 − 2/(e²ˣ + 1)
// elsewhere.
func tanh32(x float32) float32 {
	s := x * x
	if s < 0.36 {
		p := float32(-0.0059058506535)
		p = p*s + 0.020805368559
		p = p*s - 0.053786678527
		p = p*s + 0.133319581789
		p = p*s - 0.333332992695
		return x + x*s*p
	}
	if x < 0 {
		return 2/(exp32(-2*x)+1) - 1
	}
	return 1 - 2/(exp32(2*x)+1)
}

// normal32 uses Φ(−u) = exp(−u²/2) t P(t), t = 1/(1 + 0.2625 u), for u ≥ 0, with
// P fitted to a relative error of 2e-8 up to u = 14.
func normal32(x float32) (cdf, e float32) {
	e = exp32(-0.5 * x * x)
	u := x
	if u < 0 {
		u = -u
	}
	t := 1 / (1 + 0.2625*u)
	p := float32(0.030745848676)
	p = p*t - 0.148812011244
	p = p*t + 0.234764619782
	p = p*t - 0.133394932264
	p = p*t + 0.149140549973
	p = p*t + 0.0558484136388
	p = p*t + 0.102818752102
	p = p*t + 0.104138865641
	p = p*t + 0.104749884959
	tail := e * t * p
	if x > 0 {
		return 1 - tail, e
	}
	return tail, e
}
