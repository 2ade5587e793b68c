package kernel

// Sum sets dst to the elementwise sum of xs, all of its length.
func Sum[T Float](dst []T, xs ...[]T) {
	Chunks(len(dst), len(xs), func(lo, hi int) {
		d := dst[lo:hi]
		copy(d, xs[0][lo:hi])
		for _, x := range xs[1:] {
			for i, v := range x[lo:hi] {
				d[i] += v
			}
		}
	})
}

// innerChunk is how many products one partial sum of Inner holds.
const innerChunk = 1 << 14

// Inner returns Σ xᵢ yᵢ, added up in float64 by chunks.
func Inner[T Float](x, y []T) float64 {
	parts := make([]float64, (len(x)+innerChunk-1)/innerChunk)
	Parallel(len(parts), func(p int) {
		lo, hi := p*innerChunk, min(len(x), (p+1)*innerChunk)
		var s float64
		for i, v := range x[lo:hi] {
			s += float64(v) * float64(y[lo+i])
		}
		parts[p] = s
	})
	var s float64
	for _, v := range parts {
		s += v
	}
	return s
}

// Scale sets dst = c·x.
func Scale[T Float](dst, x []T, c T) {
	Chunks(len(dst), 1, func(lo, hi int) {
		d := dst[lo:hi]
		for i, v := range x[lo:hi] {
			d[i] = c * v
		}
	})
}
