package kernel

// Conv is the geometry of a two-dimensional convolution: images (B, C, H, W)
// and filters (O, C, KH, KW) give (B, O, OH, OW).
//
// The pixels of a padded image that have the same place within the stride form
// a plane, its phase (see convplane.go). On phases the convolution has stride 1,
// so every tap of its smaller window is one product of matrices, with an operand
// that is a phase read from another place on. Exchanging what is given and what
// is sought yields the gradients, and the transposed convolution.
type Conv struct {
	B, C, H, W  int
	O, OH, OW   int
	KH, KW      int
	Stride, Pad int

	fh, fw int // phases of a channel
	th, tw int // reach of the taps on a phase: the farthest row and column
	ph, pw int // rows and columns of a phase
	rows   int // of the result or a phase in a block, all if images are small
	images int // in a block, more than 1 only with all their rows

	places []int32 // see newPlaces
}

// NewConv returns the geometry for images (b, c, h, w) and filters
// (o, c, kh, kw), which must not be larger than the padded image.
func NewConv(b, c, h, w, o, kh, kw, stride, pad int) Conv {
	k := Conv{
		B: b, C: c, H: h, W: w, O: o, KH: kh, KW: kw, Stride: stride, Pad: pad,
		OH: (h+2*pad-kh)/stride + 1, OW: (w+2*pad-kw)/stride + 1,
		fh: min(stride, kh), fw: min(stride, kw),
		th: (kh - 1) / stride, tw: (kw - 1) / stride,
	}
	k.ph, k.pw = k.OH+k.th, k.OW+k.tw
	// The phases of a block should stay in cache, but narrow products are slow.
	const cached, wide = 1 << 17, 256
	height := max(k.depth(), k.O)
	if whole := height * k.ph * k.pw; whole <= cached || k.ph*k.pw <= 2*wide {
		k.rows = k.ph
		k.images = max(1, min(cached/max(1, whole), (b+15)/16))
	} else {
		k.rows = max((wide+k.pw-1)/k.pw, cached/(height*k.pw)-k.th)
		k.images = 1
	}
	k.places = k.newPlaces()
	return k
}

// depth is the number of phases of an image, taps that of products.
func (k Conv) depth() int { return k.C * k.fh * k.fw }
func (k Conv) taps() int  { return (k.th + 1) * (k.tw + 1) }

// shift is how far on tap t reads a phase; reach is the farthest.
func (k Conv) shift(t int) int { return t/(k.tw+1)*k.pw + t%(k.tw+1) }
func (k Conv) reach() int      { return k.th*k.pw + k.tw }

// block is a part of the images, or of the rows of one.
type block struct{ b0, b1, r0, r1 int }

// blocks is the number of blocks of planes of a height, the result's or that of
// phases.
func (k Conv) blocks(height int) int {
	if k.rows >= height {
		return (k.B + k.images - 1) / k.images
	}
	return k.B * ((height + k.rows - 1) / k.rows)
}

func (k Conv) block(i, height int) block {
	if k.rows >= height {
		return block{i * k.images, min(k.B, (i+1)*k.images), 0, height}
	}
	strips := (height + k.rows - 1) / k.rows
	b, r := i/strips, i%strips*k.rows
	return block{b, b + 1, r, min(height, r+k.rows)}
}

// width is the most columns of the matrices of a block.
func (k Conv) width() int { return k.images*(min(k.rows, k.ph)+k.th)*k.pw + k.reach() }

// few tells whether so few rows would be multiplied at a time that the taps are
// better laid out below each other first.
func (k Conv) few(rows int) bool { return k.taps() > 1 && rows < 64 }

// stackedRows is the number of rows for that.
func (k Conv) stackedRows(rows int) int {
	if k.few(rows) {
		return k.taps() * rows
	}
	return 0
}

// stacked lays what n columns of all taps read of phases, ld apart, below each
// other.
func stacked[T Float](stack, phases []T, n, ld int, k Conv) {
	at := 0
	for t := range k.taps() {
		for q := range k.depth() {
			copy(stack[at:at+n], phases[q*ld+k.shift(t):])
			at += n
		}
	}
}

// part is the number of elements of scratch for a block, of which so many rows
// may be stacked.
func (k Conv) part(rows int) int { return (k.depth() + k.O + k.stackedRows(rows)) * k.width() }

// divided is that scratch for phases, for planes of the result, and for what is
// stacked.
func divided[T Float](part []T, k Conv) (phases, planes, stack []T) {
	q, o := k.depth()*k.width(), k.O*k.width()
	return part[:q], part[q : q+o], part[q+o:]
}

// Scratch is the number of elements of scratch for Convolve.
func (k Conv) Scratch() int {
	return k.O*k.taps()*k.depth() + groups(k.blocks(k.OH))*k.part(k.depth())
}

// Convolve computes y (B, O, OH, OW) from images x and filters w, plus bias (O)
// unless it is nil.
func Convolve[T Float](y, x, w, bias, scratch []T, k Conv) {
	Q, K, count := k.depth(), k.taps()*k.depth(), k.blocks(k.OH)
	filters, rest := scratch[:k.O*K], scratch[k.O*K:]
	arranged(filters, w, k)
	part := k.part(Q)
	inGroups(count, groups(count), func(g, lo, hi int) {
		phases, sums, stack := divided(rest[g*part:][:part], k)
		for i := lo; i < hi; i++ {
			p := k.block(i, k.OH)
			span := (p.r1 - p.r0 + k.th) * k.pw
			ld := (p.b1 - p.b0) * span
			n := ld - k.reach()
			toPhases(phases, x, k, p)
			var beta T
			if bias != nil {
				for o := range k.O {
					fill(sums[o*n:][:n], bias[o])
				}
				beta = 1
			}
			if k.few(Q) {
				stacked(stack, phases, n, ld, k)
				matMul(false, false, k.O, n, K, 1, filters, K, stack, n, beta, sums, n)
			} else {
				for t := range k.taps() {
					matMul(false, false, k.O, n, Q, 1, filters[t*Q:], K, phases[k.shift(t):], ld, beta, sums, n)
					beta = 1
				}
			}
			for b := p.b0; b < p.b1; b++ {
				for o := range k.O {
					from, to := sums[o*n+(b-p.b0)*span:], y[(b*k.O+o)*k.OH*k.OW:]
					for r := p.r0; r < p.r1; r++ {
						copy(to[r*k.OW:(r+1)*k.OW], from[(r-p.r0)*k.pw:])
					}
				}
			}
		}
	})
}

// InputScratch is the number of elements of scratch for ConvolveInput.
func (k Conv) InputScratch() int {
	return k.O*k.taps()*k.depth() + groups(k.blocks(k.ph))*k.part(k.O)
}

// ConvolveInput computes the gradient dx of the images from dy (B, O, OH, OW)
// and filters w. With a bias (C), which may be nil, this is the transposed
// convolution of dy.
func ConvolveInput[T Float](dx, dy, w, bias, scratch []T, k Conv) {
	Q, K, count := k.depth(), k.taps()*k.depth(), k.blocks(k.ph)
	filters, rest := scratch[:k.O*K], scratch[k.O*K:]
	arranged(filters, w, k)
	part := k.part(k.O)
	inGroups(count, groups(count), func(g, lo, hi int) {
		phases, planes, stack := divided(rest[g*part:][:part], k)
		for i := lo; i < hi; i++ {
			p := k.block(i, k.ph)
			n := (p.b1 - p.b0) * (p.r1 - p.r0) * k.pw
			ld := k.reach() + n
			spaced(planes, dy, k, p, true)
			if k.few(k.O) {
				for o := range k.O {
					for t := range k.taps() {
						copy(stack[(o*k.taps()+t)*n:][:n], planes[o*ld+k.reach()-k.shift(t):])
					}
				}
				matMul(true, false, Q, n, k.taps()*k.O, 1, filters, Q, stack, n, 0, phases, n)
			} else {
				var beta T
				for t := range k.taps() {
					matMul(true, false, Q, n, k.O, 1, filters[t*Q:], K, planes[k.reach()-k.shift(t):], ld, beta, phases, n)
					beta = 1
				}
			}
			fromPhases(dx, phases, bias, k, p)
		}
	})
}

// partials is the number of sums that ConvolveFilter divides its gradient
// into, fewer for large filters.
func (k Conv) partials() int {
	return min(groups(k.blocks(k.OH)), max(1, 1<<20/max(1, k.O*k.taps()*k.depth())))
}

// FilterScratch is the number of elements of scratch for ConvolveFilter.
func (k Conv) FilterScratch() int {
	return k.partials() * (k.O*k.taps()*k.depth() + k.part(k.depth()))
}

// ConvolveFilter computes the gradient dw of the filters from images x and
// dy (B, O, OH, OW).
func ConvolveFilter[T Float](dw, x, dy, scratch []T, k Conv) {
	Q, K, parts, count := k.depth(), k.taps()*k.depth(), k.partials(), k.blocks(k.OH)
	if parts == 0 {
		clear(dw)
		return
	}
	size, part := k.O*K, k.part(Q)
	inGroups(count, parts, func(g, lo, hi int) {
		sum := scratch[g*size:][:size]
		phases, planes, stack := divided(scratch[parts*size+g*part:][:part], k)
		for i := lo; i < hi; i++ {
			p := k.block(i, k.OH)
			ld := (p.b1 - p.b0) * (p.r1 - p.r0 + k.th) * k.pw
			n := ld - k.reach()
			toPhases(phases, x, k, p)
			spaced(planes, dy, k, p, false)
			var beta T
			if i > lo {
				beta = 1
			}
			if k.few(Q) {
				stacked(stack, phases, n, ld, k)
				matMul(false, true, k.O, K, n, 1, planes, ld, stack, n, beta, sum, K)
				continue
			}
			for t := range k.taps() {
				matMul(false, true, k.O, Q, n, 1, planes, ld, phases[k.shift(t):], ld, beta, sum[t*Q:], K)
			}
		}
	})
	rearranged(dw, scratch, parts, k)
}

// arranged writes filters w (O, C, KH, KW) in the order of taps and phases:
// (O, taps, depth). Where the stride does not divide the window, some taps lack
// filters.
func arranged[T Float](dst, w []T, k Conv) {
	window, K := len(k.places), k.taps()*k.depth()
	if K > window {
		clear(dst)
	}
	Chunks(k.O, 2*window, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			to, from := dst[o*K:(o+1)*K], w[o*window:(o+1)*window]
			for i, at := range k.places {
				to[at] = from[i]
			}
		}
	})
}

// rearranged is the inverse of arranged for the sum of several arrays, which are
// spoilt.
func rearranged[T Float](dw, sums []T, parts int, k Conv) {
	window, K := len(k.places), k.taps()*k.depth()
	size := k.O * K
	Chunks(k.O, (parts+2)*window, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			sum := sums[o*K : (o+1)*K]
			for g := 1; g < parts; g++ {
				addRow(sum, sum, 1, sums[g*size+o*K:], 1)
			}
			to := dw[o*window : (o+1)*window]
			for i, at := range k.places {
				to[i] = sum[at]
			}
		}
	})
}

// newPlaces returns where each element (C, KH, KW) of a filter stands when it is
// arranged by taps and phases.
func (k Conv) newPlaces() []int32 {
	places := make([]int32, 0, k.C*k.KH*k.KW)
	for c := range k.C {
		for kh := range k.KH {
			for kw := range k.KW {
				t := kh/k.Stride*(k.tw+1) + kw/k.Stride
				q := (c*k.fh+kh%k.Stride)*k.fw + kw%k.Stride
				places = append(places, int32(t*k.depth()+q))
			}
		}
	}
	return places
}

// fill sets every element of dst to v.
func fill[T Float](dst []T, v T) {
	if len(dst) == 0 {
		return
	}
	dst[0] = v
	for n := 1; n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}
