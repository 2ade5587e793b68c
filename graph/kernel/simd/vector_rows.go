//go:build amd64 && !noasm

package simd

// Softmax sets y = softmax(scale·x + mask) by rows of n elements. mask may be
// nil, one row for all, or as large as x. A row that is −Inf throughout becomes
// 0.
func Softmax(y, x, mask []float32, n int, scale float32) {
	if len(y) == 0 {
		return
	}
	rows, step := len(y)/n, 0
	if len(mask) > n {
		step = 4 * n
	}
	_, from := y[rows*n-1], start(x, rows*n)
	add := maybe(mask, (rows-1)*step/4+n)
	if wide() {
		softmaxAVX512(&y[0], from, add, rows, n, step, scale)
	} else {
		softmaxAVX2(&y[0], from, add, rows, n, step, scale)
	}
}

// SoftmaxBackward sets dx = scale·y (dy − Σ y dy) by rows of n elements.
func SoftmaxBackward(dx, y, dy []float32, n int, scale float32) {
	if len(dx) == 0 {
		return
	}
	rows := len(dx) / n
	from, above := start(y, rows*n), start(dy, rows*n)
	if wide() {
		softmaxBackwardAVX512(start(dx, rows*n), from, above, rows, n, scale)
	} else {
		softmaxBackwardAVX2(start(dx, rows*n), from, above, rows, n, scale)
	}
}

// LogSoftmaxBackward sets dx = dy − sum·eʸ for one row, sum being that of dy.
func LogSoftmaxBackward(dx, y, dy []float32, sum float32) {
	if n := len(dx); n == 0 {
		return
	} else if wide() {
		logSoftmaxBackwardAVX512(&dx[0], start(y, n), start(dy, n), n, sum)
	} else {
		logSoftmaxBackwardAVX2(&dx[0], start(y, n), start(dy, n), n, sum)
	}
}

// LayerNorm sets y = (x − mean) rstd · weight + bias by rows of n elements, as
// many as mean has, and writes mean and rstd = 1/√(variance + eps). weight and
// bias (n) may both be nil.
func LayerNorm(y, mean, rstd, x, weight, bias []float32, eps float64, n int) {
	rows := len(mean)
	if rows == 0 || n == 0 {
		return
	}
	to, from := start(y, rows*n), start(x, rows*n)
	w, b := maybe(weight, n), maybe(bias, n)
	if (w == nil) != (b == nil) {
		panic("simd: LayerNorm with a weight or a bias alone")
	}
	if wide() {
		layerNormAVX512(to, from, w, b, &mean[0], start(rstd, rows), rows, n, eps)
	} else {
		layerNormAVX2(to, from, w, b, &mean[0], start(rstd, rows), rows, n, eps)
	}
}

// LayerNormBackward sets dx = rstd (γ − ⟨γ⟩ − x̂ ⟨γ x̂⟩) by rows of n elements,
// as many as mean has, where γ = dy · weight and x̂ is the normalized row. It
// adds Σ dy x̂ over the rows to dweight and Σ dy to dbias, in float32. dx may be
// nil, as may weight, and dweight with dbias.
func LayerNormBackward(dx, dweight, dbias, x, weight, mean, rstd, dy []float32, n int) {
	rows := len(mean)
	if rows == 0 || n == 0 {
		return
	}
	to, from, above := maybe(dx, rows*n), start(x, rows*n), start(dy, rows*n)
	w, dw, db := maybe(weight, n), maybe(dweight, n), maybe(dbias, n)
	if (dw == nil) != (db == nil) {
		panic("simd: LayerNormBackward with one of dweight and dbias")
	}
	if wide() {
		layerNormBackwardAVX512(to, dw, db, from, w, &mean[0], start(rstd, rows), above, rows, n)
	} else {
		layerNormBackwardAVX2(to, dw, db, from, w, &mean[0], start(rstd, rows), above, rows, n)
	}
}
