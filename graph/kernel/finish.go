package kernel

import "tessera/graph/kernel/simd"

// Finish is what becomes of a product x Wᵀ while its rows are in cache:
//
//	y = act(x Wᵀ + bias) + residual
//
// Slices may be nil. Slope receives the derivative act′, with which the
// gradient of x Wᵀ is one product; Identity leaves it alone.
type Finish[T Float] struct {
	Bias     []T // (out)
	Act      Activation
	Slope    []T // (rows, out)
	Residual []T // (rows, out)
}

// Linear computes y (rows, out) from x (rows, width) and w (out, width). packed
// is w packed by [Pack], or nil. A row of float32 does not depend on how many
// there are.
func Linear[T Float](y, x, w []T, rows, out, width int, packed *Packed, f Finish[T]) {
	finish := func(i, m, j, n int) { f.block(y, i, m, j, n, out) }
	if p, ok := newProduct32(false, true, rows, out, width, 1, x, width, w, width, 0, y, out); ok {
		p.packed, p.sameRows = packed.fitting(), true
		if f.some() {
			p.finish = finish
		}
		p.run()
		return
	}
	MatMul(false, true, rows, out, width, 1, x, width, w, width, 0, y, out)
	if f.some() {
		Chunks(rows, (2+activationCost)*out, func(lo, hi int) { finish(lo, hi-lo, 0, out) })
	}
}

func (f *Finish[T]) some() bool {
	return f.Bias != nil || f.Act != Identity || f.Residual != nil
}

// block finishes m rows from i on of n columns from j on.
func (f *Finish[T]) block(y []T, i, m, j, n, width int) {
	for r := i; r < i+m; r++ {
		lo, hi := r*width+j, r*width+j+n
		row := y[lo:hi]
		var bias, slope []T
		if f.Bias != nil {
			bias = f.Bias[j : j+n]
		}
		if f.Slope != nil {
			slope = f.Slope[lo:hi]
		}
		if bias != nil || f.Act != Identity {
			biasActivate(row, slope, row, bias, f.Act)
		}
		if f.Residual != nil {
			addRow(row, row, 1, f.Residual[lo:hi], 1)
		}
	}
}

// biasActivate sets y = a(x + bias) and, unless d is nil, d = a'(x + bias), for
// one row. bias may be nil, and y may be x.
func biasActivate[T Float](y, d, x, bias []T, a Activation) {
	if fast[T]() {
		simd.BiasActivate(singles(y), singles(d), singles(x), singles(bias), simd.Activation(a))
		return
	}
	if bias != nil {
		addRow(y, x, 1, bias, 1)
		x = y
	}
	if d != nil {
		fill(d, 1)
		activateBackward(d, x, d, a)
	}
	activate(y, x, a)
}
