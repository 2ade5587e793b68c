package kernel

import (
	"math"

	"tessera/graph/kernel/simd"
)

// Key selects a sequence of random numbers that can be read at any place, so
// that no number depends on how work was divided.
type Key uint64

// NewKey mixes words into a key; any other words give another sequence.
func NewKey(words ...uint64) Key {
	var k uint64
	for _, w := range words {
		k = mix(k + golden ^ mix(w))
	}
	return Key(k)
}

// golden is 2⁶⁴ over the golden ratio, the step of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// Bits is the i-th number of the sequence, uniform over 64 bits: SplitMix64
// started at the key (Steele, Lea and Flood, OOPSLA 2014).
func (k Key) Bits(i int) uint64 { return mix(uint64(k) + (uint64(i)+1)*golden) }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is the number such that 64 random bits are less with probability p,
// 0 ≤ p < 1.
func below(p float64) uint64 { return uint64(math.Ldexp(p, 64)) }

// Dropout sets element i of y to 0 with probability p, 0 ≤ p < 1, as the key
// decides, and to x/(1−p) otherwise. Given the gradient of y, it computes that
// of x.
func Dropout[T Float](y, x []T, p float64, key Key) {
	Chunks(len(y), 1, func(lo, hi int) { dropout(y[lo:hi], x[lo:hi], p, key, lo) })
}

// dropout is Dropout of a part that starts at element first.
func dropout[T Float](y, x []T, p float64, key Key, first int) {
	drop, scale := below(p), T(1/(1-p))
	if fast[T]() {
		simd.Dropout(singles(y), singles(x), uint64(key)+(uint64(first)+1)*golden, drop, float32(scale))
		return
	}
	for i, v := range x {
		factor := scale
		if key.Bits(first+i) < drop {
			factor = 0
		}
		y[i] = v * factor // NaN stays NaN
	}
}

// DropPath is Dropout of whole examples of n elements.
func DropPath[T Float](y, x []T, n int, p float64, key Key) {
	if n == 0 {
		return
	}
	drop, scale := below(p), T(1/(1-p))
	Chunks(len(y)/n, (n+3)/4, func(lo, hi int) {
		for e := lo; e < hi; e++ {
			factor := scale
			if key.Bits(e) < drop {
				factor = 0
			}
			scaleRow(y[e*n:(e+1)*n], x[e*n:(e+1)*n], factor)
		}
	})
}
