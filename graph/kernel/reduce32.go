package kernel

import (
	"unsafe"

	"tessera/graph/kernel/simd"
)

const (
	// stripe is how many columns are summed side by side.
	stripe = 256
	// stripeRows is how many of their rows make a job of their own at least.
	stripeRows = 64
	// stripeParts is how many jobs there are at least, if rows suffice.
	stripeParts = 16
)

// sumColumns32 is sumColumns of rows that lie stride apart. Few columns are
// divided by rows too, so that there is work for several cores.
func sumColumns32(dst, src []float32, scale float64, kept axes, rows, stride, n int) {
	stripes := (n + stripe - 1) / stripe
	cells := kept.size() * stripes
	parts := min((stripeParts+cells-1)/cells, (rows+stripeRows-1)/stripeRows)
	size := (rows + parts - 1) / parts
	var partial []float64
	if parts > 1 {
		sums, memory := zeros64(parts * len(dst))
		defer free32(memory)
		partial = sums
	}
	Chunks(cells*parts, (size*min(n, stripe)+3)/4, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			cell, part := i/parts, i%parts
			_, base := kept.at(cell / stripes)
			j0 := cell % stripes * stripe
			width := min(stripe, n-j0)
			var sum [stripe]float64
			first, end := part*size, min(rows, (part+1)*size)
			simd.AddRows(sum[:width], src[base+first*stride+j0:], end-first, stride)
			to := cell/stripes*n + j0
			if parts > 1 {
				copy(partial[part*len(dst)+to:], sum[:width])
				continue
			}
			for j, v := range sum[:width] {
				dst[to+j] = float32(v * scale)
			}
		}
	})
	if parts > 1 {
		addParts(dst, partial, len(dst), scale)
	}
}

// zeros64 is n zeros and the scratch they lie in, which is to be freed.
func zeros64(n int) ([]float64, *[]float32) {
	if n == 0 {
		return nil, nil
	}
	p := scratch32(2 * n)
	z := unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(*p))), n)
	clear(z)
	return z, p
}

// addParts sets dst to the sum of parts that start stride apart, times scale.
// It spoils the first.
func addParts(dst []float32, parts []float64, stride int, scale float64) {
	if len(parts) < len(dst) { // there is none
		clear(dst)
		return
	}
	sum := parts[:len(dst)]
	for i := stride; i < len(parts); i += stride {
		for j, v := range parts[i:][:len(dst)] {
			sum[j] += v
		}
	}
	for j, v := range sum {
		dst[j] = float32(v * scale)
	}
}
