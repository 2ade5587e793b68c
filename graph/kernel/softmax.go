package kernel

import (
	"math"

	"tessera/graph/kernel/simd"
)

// softmaxCost is about how many elementary operations an element takes, in
// several lanes at once.
const softmaxCost = 2

// Softmax writes softmax(x + mask) of every row of n elements to y, which may
// be x. mask may be nil; at tells its rows. A row that is −Inf throughout
// becomes 0.
func Softmax[T Float](y, x, mask []T, at Mask, n int) {
	if n == 0 {
		return
	}
	Chunks(len(x)/n, softmaxCost*n, func(lo, hi int) {
		if mask == nil && fast[T]() {
			simd.Softmax(singles(y[lo*n:hi*n]), singles(x[lo*n:hi*n]), nil, n, 1)
			return
		}
		for r := lo; r < hi; r++ {
			softmax(y[r*n:(r+1)*n], x[r*n:(r+1)*n], maskRow(at, mask, r))
		}
	})
}

// softmax is Softmax of one row.
func softmax[T Float](y, x, mask []T) {
	if fast[T]() {
		simd.Softmax(singles(y), singles(x), singles(mask), len(y), 1)
		return
	}
	if mask != nil {
		for j, v := range mask {
			y[j] = x[j] + v
		}
		x = y
	}
	top := greatest(x)
	if math.IsInf(float64(top), -1) {
		clear(y)
		return
	}
	var sum float64
	for j, v := range x {
		e := exp(v - top)
		y[j] = e
		sum += float64(e)
	}
	scale := T(1 / sum)
	for j := range y {
		y[j] *= scale
	}
}

// greatest is the greatest element of a row, or NaN if it holds one.
func greatest[T Float](x []T) T {
	if fast[T]() {
		return T(simd.Max(singles(x)))
	}
	top := T(math.Inf(-1))
	for _, v := range x {
		if v > top || v != v {
			top = v
			if v != v {
				break
			}
		}
	}
	return top
}

// SoftmaxBackward sets dx = y (dy − Σ y dy) by rows of n elements. dx may be dy.
func SoftmaxBackward[T Float](dx, y, dy []T, n int) {
	if n == 0 {
		return
	}
	Chunks(len(y)/n, n, func(lo, hi int) {
		if fast[T]() {
			simd.SoftmaxBackward(singles(dx[lo*n:hi*n]), singles(y[lo*n:hi*n]), singles(dy[lo*n:hi*n]), n, 1)
			return
		}
		for r := lo; r < hi; r++ {
			to, p, g := dx[r*n:(r+1)*n], y[r*n:(r+1)*n], dy[r*n:(r+1)*n]
			s := T(dot(p, g))
			for j, v := range p {
				to[j] = v * (g[j] - s)
			}
		}
	})
}

// dot is Σ x y, summed in float64.
func dot[T Float](x, y []T) float64 {
	y = y[:len(x)]
	if fast[T]() {
		return simd.Dot(singles(x), singles(y))
	}
	var s, t float64
	for len(x) >= 2 {
		s += float64(x[0]) * float64(y[0])
		t += float64(x[1]) * float64(y[1])
		x, y = x[2:], y[2:]
	}
	for j, v := range x {
		s += float64(v) * float64(y[j])
	}
	return s + t
}

// LogSoftmax writes log softmax(x) of every row of n elements to y. A row that
// is −Inf throughout stays so.
func LogSoftmax[T Float](y, x []T, n int) {
	if n == 0 {
		return
	}
	Chunks(len(x)/n, softmaxCost*n, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			to, from := y[r*n:(r+1)*n], x[r*n:(r+1)*n]
			top := greatest(from)
			if math.IsInf(float64(top), -1) {
				copy(to, from)
				continue
			}
			log := math.Log(sumExp(from, top))
			for j, v := range from { // the sum of both logarithms would be rounded
				to[j] = T(float64(v) - float64(top) - log)
			}
		}
	})
}

// sumExp is Σ e^(x − shift).
func sumExp[T Float](x []T, shift T) float64 {
	if fast[T]() {
		return simd.SumExp(singles(x), float32(shift))
	}
	var sum float64
	for _, v := range x {
		sum += float64(exp(v - shift))
	}
	return sum
}

// LogSoftmaxBackward sets dx = dy − eʸ Σ dy by rows of n elements.
func LogSoftmaxBackward[T Float](dx, y, dy []T, n int) {
	if n == 0 {
		return
	}
	Chunks(len(y)/n, softmaxCost*n, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			to, g := dx[r*n:(r+1)*n], dy[r*n:(r+1)*n]
			s := T(sumRun(g))
			if fast[T]() {
				simd.LogSoftmaxBackward(singles(to), singles(y[r*n:(r+1)*n]), singles(g), float32(s))
				continue
			}
			for j, v := range y[r*n : (r+1)*n] {
				to[j] = g[j] - exp(v)*s
			}
		}
	})
}
