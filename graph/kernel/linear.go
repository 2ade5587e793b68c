package kernel

import "tessera/graph/kernel/simd"

// BiasActivate adds bias, repeated, to x and sets y = a(x). bias may be nil,
// and y may be x.
func BiasActivate[T Float](y, x, bias []T, n int, a Activation) {
	if n == 0 {
		return
	}
	Chunks(len(x)/n, (1+activationCost)*n, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := x[r*n : (r+1)*n]
			if bias != nil {
				addRow(row, row, 1, bias[:n], 1)
			}
			activate(y[r*n:(r+1)*n], row, a)
		}
	})
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
		for j := range d {
			d[j] = 1
		}
		activateBackward(d, x, d, a)
	}
	activate(y, x, a)
}
