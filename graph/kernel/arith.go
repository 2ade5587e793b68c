package kernel

import (
	"math"

	"tessera/graph/kernel/simd"
)

// Broadcast pairs the elements of two operands with those of a result, by the
// rules of NumPy: shapes are aligned at their last axes, and an axis that is 1
// or missing in an operand is repeated.
type Broadcast struct {
	outer axes
	inner axis // strides 0 or 1
}

// NewBroadcast prepares operands of shapes a and b for results of a shape that
// both can be repeated to.
func NewBroadcast(shape, a, b []int) Broadcast {
	s := make(axes, len(shape))
	for i, n := range shape {
		s[i].n = n
	}
	for k, operand := range [][]int{a, b} {
		st := strides(operand)
		for i, n := range operand {
			if n != 1 {
				s[len(shape)-len(operand)+i].stride[k] = st[i]
			}
		}
	}
	s = s.merged()
	return Broadcast{s[:len(s)-1], s[len(s)-1]}
}

// Add computes a + b.
func Add[T Float](dst, a, b []T, by Broadcast) { rowwise(dst, a, b, by, addRow[T]) }

// Sub computes a − b.
func Sub[T Float](dst, a, b []T, by Broadcast) { rowwise(dst, a, b, by, subRow[T]) }

// Mul computes a · b, elementwise.
func Mul[T Float](dst, a, b []T, by Broadcast) { rowwise(dst, a, b, by, mulRow[T]) }

// Div computes a / b, elementwise.
func Div[T Float](dst, a, b []T, by Broadcast) { rowwise(dst, a, b, by, divRow[T]) }

// Expand repeats src to the shape of dst; by has src and dst as operands.
func Expand[T Float](dst, src []T, scale float64, by Broadcast) {
	rowwise(dst, src, nil, by, func(dst, src []T, step int, _ []T, _ int) {
		switch {
		case step == 0:
			v := src[0] * T(scale)
			for i := range dst {
				dst[i] = v
			}
		case scale == 1:
			copy(dst, src)
		default:
			scaleRow(dst, src, T(scale))
		}
	})
}

// memoryRun is how many elements of work that is limited by memory are worth a
// goroutine.
const memoryRun = 1 << 16

// runs is Chunks for n elements of such work.
func runs(n int, f func(lo, hi int)) {
	const block = memoryRun / grain
	Chunks((n+block-1)/block, 1, func(lo, hi int) { f(lo*block, min(n, hi*block)) })
}

// rowwise applies f to every run of the innermost loop. Operands move by their
// step, 0 or 1, from element to element.
func rowwise[T Float](dst, a, b []T, by Broadcast, f func(dst, a []T, sa int, b []T, sb int)) {
	if len(dst) == 0 {
		return
	}
	n, sa, sb := by.inner.n, by.inner.stride[0], by.inner.stride[1]
	if b == nil {
		sb = 0
	}
	if by.outer.size() == 1 {
		runs(n, func(lo, hi int) { f(dst[lo:hi], a[lo*sa:], sa, b[lo*sb:], sb) })
		return
	}
	Chunks(by.outer.size(), (n+3)/4, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			p, q := by.outer.at(i)
			if b == nil {
				q = 0
			}
			f(dst[i*n:(i+1)*n], a[p:], sa, b[q:], sb)
		}
	})
}

func addRow[T Float](dst, a []T, sa int, b []T, sb int) {
	if sa == 1 && sb == 1 {
		a, b = a[:len(dst)], b[:len(dst)]
		if fast[T]() {
			simd.Add(singles(dst), singles(a), singles(b))
			return
		}
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
		return
	}
	if sb == 0 && sa == 1 && fast[T]() {
		simd.AddScalar(singles(dst), singles(a), float32(b[0]))
		return
	}
	for i := range dst {
		dst[i] = a[i*sa] + b[i*sb]
	}
}

func subRow[T Float](dst, a []T, sa int, b []T, sb int) {
	if sa == 1 && sb == 1 {
		a, b = a[:len(dst)], b[:len(dst)]
		if fast[T]() {
			simd.Sub(singles(dst), singles(a), singles(b))
			return
		}
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
		return
	}
	if sb == 0 && sa == 1 && fast[T]() {
		simd.AddScalar(singles(dst), singles(a), float32(-b[0]))
		return
	}
	for i := range dst {
		dst[i] = a[i*sa] - b[i*sb]
	}
}

func mulRow[T Float](dst, a []T, sa int, b []T, sb int) {
	if sa == 1 && sb == 1 {
		a, b = a[:len(dst)], b[:len(dst)]
		if fast[T]() {
			simd.Mul(singles(dst), singles(a), singles(b))
			return
		}
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
		return
	}
	if sb == 0 && sa == 1 && fast[T]() {
		simd.Scale(singles(dst), singles(a), float32(b[0]))
		return
	}
	for i := range dst {
		dst[i] = a[i*sa] * b[i*sb]
	}
}

func divRow[T Float](dst, a []T, sa int, b []T, sb int) {
	if sa == 1 && sb == 1 && fast[T]() {
		simd.Div(singles(dst), singles(a), singles(b))
		return
	}
	for i := range dst {
		dst[i] = a[i*sa] / b[i*sb]
	}
}

func scaleRow[T Float](dst, x []T, c T) {
	x = x[:len(dst)]
	if fast[T]() {
		simd.Scale(singles(dst), singles(x), float32(c))
		return
	}
	for i := range dst {
		dst[i] = c * x[i]
	}
}

// Shift computes x + c.
func Shift[T Float](dst, x []T, c float64) {
	runs(len(dst), func(lo, hi int) {
		dst, x := dst[lo:hi], x[lo:hi]
		if fast[T]() {
			simd.AddScalar(singles(dst), singles(x), float32(c))
			return
		}
		for i := range dst {
			dst[i] = x[i] + T(c)
		}
	})
}

// Exp computes eˣ.
func Exp[T Float](dst, x []T) {
	if fast[T]() {
		Chunks(len(dst), 1, func(lo, hi int) { simd.Exp(singles(dst[lo:hi]), singles(x[lo:hi])) })
		return
	}
	each(dst, x, math.Exp)
}

// Log computes the natural logarithm.
func Log[T Float](dst, x []T) { each(dst, x, math.Log) }

// Sqrt computes √x.
func Sqrt[T Float](dst, x []T) { each(dst, x, math.Sqrt) }

func each[T Float](dst, x []T, f func(float64) float64) {
	Chunks(len(dst), 16, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst[i] = T(f(float64(x[i])))
		}
	})
}

// SqrtBackward computes dy / 2y, the gradient of y = √x.
func SqrtBackward[T Float](dx, y, dy []T) {
	runs(len(dx), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dx[i] = dy[i] / (2 * y[i])
		}
	})
}

// SquareBackward computes 2x · dy, the gradient of x².
func SquareBackward[T Float](dx, x, dy []T) {
	runs(len(dx), func(lo, hi int) {
		dx, x, dy := dx[lo:hi], x[lo:hi], dy[lo:hi]
		for i := range dx {
			dx[i] = 2 * x[i] * dy[i]
		}
	})
}

// Clamp limits x to [lo, hi]. NaN stays.
func Clamp[T Float](dst, x []T, lo, hi float64) {
	least, most := T(lo), T(hi)
	runs(len(dst), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			switch v := x[i]; {
			case v < least:
				dst[i] = least
			case v > most:
				dst[i] = most
			default:
				dst[i] = v
			}
		}
	})
}

// ClampBackward passes dy where x is within [lo, hi] and gives 0 elsewhere.
func ClampBackward[T Float](dx, x, dy []T, lo, hi float64) {
	least, most := T(lo), T(hi)
	runs(len(dx), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if x[i] < least || x[i] > most {
				dx[i] = 0
			} else {
				dx[i] = dy[i]
			}
		}
	})
}
