package kernel

// Conv is the geometry of a two-dimensional convolution: images (B, C, H, W)
// and filters (O, C, KH, KW) give (B, O, OH, OW).
//
// Windows of the images are laid out as columns of a matrix, for strips of the
// result small enough to stay in cache; the rest is products of matrices.
// Exchanging what is given and what is sought yields the gradients, and the
// transposed convolution.
type Conv struct {
	B, C, H, W   int
	O, OH, OW    int
	KH, KW       int
	Stride, Pad  int
	window, area int // C·KH·KW, OH·OW
	rows         int // of the result in a strip
}

// NewConv returns the geometry for images (b, c, h, w) and filters
// (o, c, kh, kw), which must not be larger than the padded image.
func NewConv(b, c, h, w, o, kh, kw, stride, pad int) Conv {
	k := Conv{
		B: b, C: c, H: h, W: w, O: o, KH: kh, KW: kw, Stride: stride, Pad: pad,
		OH: (h+2*pad-kh)/stride + 1, OW: (w+2*pad-kw)/stride + 1,
	}
	k.window, k.area = c*kh*kw, k.OH*k.OW
	// A matrix of about 2¹⁶ elements, but at least 256 columns wide: narrow
	// products are slow.
	wide := max(256, 1<<16/max(1, k.window))
	k.rows = min(k.OH, (wide+k.OW-1)/k.OW)
	return k
}

// strips is the number of strips of one example.
func (k Conv) strips() int { return (k.OH + k.rows - 1) / k.rows }

// strip returns the rows of the result of strip i.
func (k Conv) strip(i int) (lo, hi int) { return i * k.rows, min(k.OH, (i+1)*k.rows) }

// Scratch is the number of elements of scratch for Convolve.
func (k Conv) Scratch() int { return groups(k.B*k.strips()) * k.window * k.rows * k.OW }

// Convolve computes y (B, O, OH, OW) from images x and filters w, plus bias (O)
// unless it is nil.
func Convolve[T Float](y, x, w, bias, scratch []T, k Conv) {
	jobs := k.B * k.strips()
	part := k.window * k.rows * k.OW
	inGroups(jobs, groups(jobs), func(g, lo, hi int) {
		cols := scratch[g*part:][:part]
		for i := lo; i < hi; i++ {
			b := i / k.strips()
			r0, r1 := k.strip(i % k.strips())
			n := (r1 - r0) * k.OW
			unfold(cols, x[b*k.C*k.H*k.W:], k, 0, k.C, r0, r1)
			out := y[b*k.O*k.area+r0*k.OW : (b+1)*k.O*k.area]
			var beta T
			if bias != nil {
				for o := range k.O {
					fill(out[o*k.area:][:n], bias[o])
				}
				beta = 1
			}
			MatMul(false, false, k.O, n, k.window, 1, w, k.window, cols, n, beta, out, k.area)
		}
	})
}

// channels is the number of image channels that ConvolveInput treats at once.
func (k Conv) channels() int {
	taps := k.KH * k.KW
	return max(1, min(k.C, max((63+taps)/taps, 1<<17/(taps*k.rows*k.OW))))
}

// blocks is the number of runs of that many channels.
func (k Conv) blocks() int { return (k.C + k.channels() - 1) / k.channels() }

// InputScratch is the number of elements of scratch for ConvolveInput.
func (k Conv) InputScratch() int {
	return groups(k.B*k.blocks()) * k.channels() * k.KH * k.KW * k.rows * k.OW
}

// ConvolveInput computes the gradient dx of the images from dy (B, O, OH, OW)
// and filters w. With a bias (C), which may be nil, this is the transposed
// convolution of dy.
func ConvolveInput[T Float](dx, dy, w, bias, scratch []T, k Conv) {
	jobs, taps := k.B*k.blocks(), k.KH*k.KW
	part := k.channels() * taps * k.rows * k.OW
	inGroups(jobs, groups(jobs), func(g, lo, hi int) {
		cols := scratch[g*part:][:part]
		for i := lo; i < hi; i++ {
			b, c0 := i/k.blocks(), i%k.blocks()*k.channels()
			c1 := min(k.C, c0+k.channels())
			m := (c1 - c0) * taps
			image := dx[b*k.C*k.H*k.W : (b+1)*k.C*k.H*k.W]
			for c := c0; c < c1; c++ {
				var v T
				if bias != nil {
					v = bias[c]
				}
				fill(image[c*k.H*k.W:(c+1)*k.H*k.W], v)
			}
			for s := range k.strips() {
				r0, r1 := k.strip(s)
				n := (r1 - r0) * k.OW
				MatMul(true, false, m, n, k.O, 1, w[c0*taps:], k.window, dy[b*k.O*k.area+r0*k.OW:], k.area, 0, cols, n)
				fold(image, cols, k, c0, c1, r0, r1)
			}
		}
	})
}

// partials is the number of sums that ConvolveFilter divides its gradient
// into, fewer for large filters.
func (k Conv) partials() int {
	return min(groups(k.B*k.strips()), max(1, 1<<22/max(1, k.O*k.window)))
}

// FilterScratch is the number of elements of scratch for ConvolveFilter.
func (k Conv) FilterScratch() int {
	return k.partials() * (k.window*k.rows*k.OW + k.O*k.window)
}

// ConvolveFilter computes the gradient dw of the filters from images x and
// dy (B, O, OH, OW).
func ConvolveFilter[T Float](dw, x, dy, scratch []T, k Conv) {
	parts, size := k.partials(), k.O*k.window
	if parts == 0 {
		clear(dw)
		return
	}
	part := k.window * k.rows * k.OW
	inGroups(k.B*k.strips(), parts, func(g, lo, hi int) {
		sum, cols := scratch[g*size:][:size], scratch[parts*size+g*part:][:part]
		for i := lo; i < hi; i++ {
			b := i / k.strips()
			r0, r1 := k.strip(i % k.strips())
			n := (r1 - r0) * k.OW
			unfold(cols, x[b*k.C*k.H*k.W:], k, 0, k.C, r0, r1)
			var beta T
			if i > lo {
				beta = 1
			}
			MatMul(false, true, k.O, k.window, n, 1, dy[b*k.O*k.area+r0*k.OW:], k.area, cols, n, beta, sum, k.window)
		}
	})
	Chunks(size, parts, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			var sum float64
			for g := range parts {
				sum += float64(scratch[g*size+i])
			}
			dw[i] = T(sum)
		}
	})
}

func fill[T Float](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}
