package kernel

// unfold lays out the windows of channels [c0, c1) of an image (C, H, W) that
// rows [r0, r1) of the result see: a row of the matrix for each channel and
// place in the window, a column for each place in the result.
func unfold[T Float](cols, image []T, k Conv, c0, c1, r0, r1 int) {
	n := (r1 - r0) * k.OW
	for i := c0 * k.KH * k.KW; i < c1*k.KH*k.KW; i++ {
		c, kh, kw := i/(k.KH*k.KW), i/k.KW%k.KH, i%k.KW
		row := cols[(i-c0*k.KH*k.KW)*n:][:n]
		plane := image[c*k.H*k.W : (c+1)*k.H*k.W]
		lo, hi := k.inside(kw)
		for r := r0; r < r1; r++ {
			to := row[(r-r0)*k.OW:][:k.OW]
			h := r*k.Stride + kh - k.Pad
			if h < 0 || h >= k.H || lo == hi {
				clear(to)
				continue
			}
			clear(to[:lo])
			clear(to[hi:])
			from := plane[h*k.W+lo*k.Stride+kw-k.Pad : (h+1)*k.W]
			if k.Stride == 1 {
				copy(to[lo:hi], from)
				continue
			}
			for j := range hi - lo {
				to[lo+j] = from[j*k.Stride]
			}
		}
	}
}

// fold adds what unfold would have laid out back to the image.
func fold[T Float](image, cols []T, k Conv, c0, c1, r0, r1 int) {
	n := (r1 - r0) * k.OW
	for i := c0 * k.KH * k.KW; i < c1*k.KH*k.KW; i++ {
		c, kh, kw := i/(k.KH*k.KW), i/k.KW%k.KH, i%k.KW
		row := cols[(i-c0*k.KH*k.KW)*n:][:n]
		plane := image[c*k.H*k.W : (c+1)*k.H*k.W]
		lo, hi := k.inside(kw)
		for r := r0; r < r1; r++ {
			h := r*k.Stride + kh - k.Pad
			if h < 0 || h >= k.H || lo == hi {
				continue
			}
			from := row[(r-r0)*k.OW:][lo:hi]
			to := plane[h*k.W+lo*k.Stride+kw-k.Pad : (h+1)*k.W]
			for j, v := range from {
				to[j*k.Stride] += v
			}
		}
	}
}

// inside returns the columns [lo, hi) of the result for which column kw of the
// window lies within the image.
func (k Conv) inside(kw int) (lo, hi int) {
	if kw < k.Pad {
		lo = min(k.OW, (k.Pad-kw+k.Stride-1)/k.Stride)
	}
	// j·Stride + kw − Pad ≤ W − 1
	if last := k.W - 1 + k.Pad - kw; last >= 0 {
		hi = min(k.OW, last/k.Stride+1)
	}
	return lo, max(lo, hi)
}
