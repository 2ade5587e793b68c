package kernel

// Sum sets dst to the elementwise sum of xs, all of its length.
func Sum[T Float](dst []T, xs ...[]T) {
	runs(len(dst), func(lo, hi int) {
		d := dst[lo:hi]
		if len(xs) == 1 {
			copy(d, xs[0][lo:hi])
			return
		}
		addRow(d, xs[0][lo:hi], 1, xs[1][lo:hi], 1)
		for _, x := range xs[2:] {
			addRow(d, d, 1, x[lo:hi], 1)
		}
	})
}

// Inner returns Σ xᵢ yᵢ, added up in float64 by parts whose number does not
// exceed a bound.
func Inner[T Float](x, y []T) float64 {
	var parts [64]float64
	size := max(memoryRun, (len(x)+len(parts)-1)/len(parts))
	Parallel((len(x)+size-1)/size, func(p int) {
		lo, hi := p*size, min(len(x), (p+1)*size)
		parts[p] = dot(x[lo:hi], y[lo:hi])
	})
	var s float64
	for _, v := range parts {
		s += v
	}
	return s
}

// Scale sets dst = c·x.
func Scale[T Float](dst, x []T, c T) {
	runs(len(dst), func(lo, hi int) { scaleRow(dst[lo:hi], x[lo:hi], c) })
}
