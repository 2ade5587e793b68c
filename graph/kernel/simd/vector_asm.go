//go:build amd64 && !noasm

package simd

import "math"

// wide tells whether to call the kernels of AVX-512.
func wide() bool { return Active() == AVX512 }

// start is the first of the n > 0 elements that x must have.
func start(x []float32, n int) *float32 {
	_ = x[n-1]
	return &x[0]
}

// maybe is start, and nil if x is nil.
func maybe(x []float32, n int) *float32 {
	if x == nil {
		return nil
	}
	return start(x, n)
}

// Add sets dst = x + y.
func Add(dst, x, y []float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		addAVX512(&dst[0], start(x, n), start(y, n), n)
	} else {
		addAVX2(&dst[0], start(x, n), start(y, n), n)
	}
}

// Sub sets dst = x − y.
func Sub(dst, x, y []float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		subAVX512(&dst[0], start(x, n), start(y, n), n)
	} else {
		subAVX2(&dst[0], start(x, n), start(y, n), n)
	}
}

// Mul sets dst = x · y.
func Mul(dst, x, y []float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		mulAVX512(&dst[0], start(x, n), start(y, n), n)
	} else {
		mulAVX2(&dst[0], start(x, n), start(y, n), n)
	}
}

// Div sets dst = x / y.
func Div(dst, x, y []float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		divAVX512(&dst[0], start(x, n), start(y, n), n)
	} else {
		divAVX2(&dst[0], start(x, n), start(y, n), n)
	}
}

// AddScalar sets dst = x + c.
func AddScalar(dst, x []float32, c float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		addScalarAVX512(&dst[0], start(x, n), n, c)
	} else {
		addScalarAVX2(&dst[0], start(x, n), n, c)
	}
}

// Scale sets dst = c·x.
func Scale(dst, x []float32, c float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		mulScalarAVX512(&dst[0], start(x, n), n, c)
	} else {
		mulScalarAVX2(&dst[0], start(x, n), n, c)
	}
}

// Axpy sets dst = dst + c·x, rounded once.
func Axpy(dst, x []float32, c float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		axpyAVX512(&dst[0], start(x, n), n, c)
	} else {
		axpyAVX2(&dst[0], start(x, n), n, c)
	}
}

// Mix sets dst = dst + c·(x − dst).
func Mix(dst, x []float32, c float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		mixAVX512(&dst[0], start(x, n), n, c)
	} else {
		mixAVX2(&dst[0], start(x, n), n, c)
	}
}

// ExpScaled sets dst = scale·e^(x − shift), the exponential within 1 ulp.
func ExpScaled(dst, x []float32, shift, scale float32) {
	if n := len(dst); n == 0 {
		return
	} else if wide() {
		expScaledAVX512(&dst[0], start(x, n), n, shift, scale)
	} else {
		expScaledAVX2(&dst[0], start(x, n), n, shift, scale)
	}
}

// Sum returns Σ x, added up in float64.
func Sum(x []float32) float64 {
	if len(x) == 0 {
		return 0
	} else if wide() {
		return sumAVX512(&x[0], len(x))
	}
	return sumAVX2(&x[0], len(x))
}

// Dot returns Σ x y, in float64.
func Dot(x, y []float32) float64 {
	if n := len(x); n == 0 {
		return 0
	} else if wide() {
		return dotAVX512(&x[0], start(y, n), n)
	} else {
		return dotAVX2(&x[0], start(y, n), n)
	}
}

// SumExp returns Σ e^(x − shift), added up in float64.
func SumExp(x []float32, shift float32) float64 {
	if len(x) == 0 {
		return 0
	} else if wide() {
		return sumExpAVX512(&x[0], len(x), shift)
	}
	return sumExpAVX2(&x[0], len(x), shift)
}

// Max returns the greatest element, NaN if there is one, and −Inf of none.
func Max(x []float32) float32 {
	if len(x) == 0 {
		return float32(math.Inf(-1))
	} else if wide() {
		return maxAVX512(&x[0], len(x))
	}
	return maxAVX2(&x[0], len(x))
}

// AddRows adds to sum all rows of x, which start stride elements apart and have
// the length of sum.
func AddRows(sum []float64, x []float32, rows, stride int) {
	n := len(sum)
	if n == 0 || rows <= 0 {
		return
	}
	from := start(x, (rows-1)*stride+n)
	if wide() {
		addRowsAVX512(&sum[0], from, rows, 4*stride, n)
	} else {
		addRowsAVX2(&sum[0], from, rows, 4*stride, n)
	}
}

// Dropout sets y to 0·x where a number of SplitMix64 is below drop, and to
// scale·x elsewhere. state is that of the first element, whose number is the
// output for this very state.
func Dropout(y, x []float32, state, drop uint64, scale float32) {
	if n := len(y); n == 0 {
		return
	} else if wide() {
		dropoutAVX512(&y[0], start(x, n), n, state, drop, scale)
	} else {
		dropoutAVX2(&y[0], start(x, n), n, state, drop, scale)
	}
}

// Step updates weights w and moments m and s by gradients: for each element
//
//	d = Scale·grad
//	m ← m + Mix1·(d − m)
//	s ← Beta2·s + Mix2·d²
//	w ← Keep·w − Rate·(m / (Root2·√s + Eps))
//
// with every operation rounded, so that plain code gives the same bits.
func (c *AdamW) Step(w, grad, m, s []float32) {
	if n := len(w); n == 0 {
		return
	} else if wide() {
		adamWAVX512(&w[0], start(grad, n), start(m, n), start(s, n), n, &c.Scale)
	} else {
		adamWAVX2(&w[0], start(grad, n), start(m, n), start(s, n), n, &c.Scale)
	}
}
