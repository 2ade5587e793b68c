package kernel

// The phases of an image lie side by side: phase (c, i, j) of a block is a row of
// a matrix, and holds the pixels of channel c of the padded images in rows and
// columns that are i and j modulo the stride, image by image.

// toPhases writes the phases (C·fh·fw, images·rows·pw) of a block of the result,
// which sees k.th more rows of them than it has itself.
func toPhases[T Float](phases, x []T, k Conv, p block) {
	rows := p.r1 - p.r0 + k.th
	at := 0
	for q := range k.depth() {
		c, i, j := q/(k.fh*k.fw), q/k.fw%k.fh, q%k.fw
		lo, hi := k.inside(j)
		for b := p.b0; b < p.b1; b++ {
			plane := x[(b*k.C+c)*k.H*k.W:][:k.H*k.W]
			for r := p.r0; r < p.r0+rows; r++ {
				to := phases[at:][:k.pw]
				at += k.pw
				h := r*k.Stride + i - k.Pad
				if h < 0 || h >= k.H || lo == hi {
					clear(to)
					continue
				}
				for n := range lo {
					to[n] = 0
				}
				for n := hi; n < len(to); n++ {
					to[n] = 0
				}
				inner := to[lo:hi]
				from := plane[h*k.W+lo*k.Stride+j-k.Pad : (h+1)*k.W]
				switch k.Stride {
				case 1:
					copy(inner, from)
				case 2:
					everySecond(inner, from)
				default:
					for n, s := 0, 0; n < len(inner) && s < len(from); n, s = n+1, s+k.Stride {
						inner[n] = from[s]
					}
				}
			}
		}
	}
}

// everySecond sets to[i] = from[2i].
func everySecond[T Float](to, from []T) {
	for len(to) >= 8 && len(from) >= 16 {
		d, s := (*[8]T)(to), (*[16]T)(from)
		d[0], d[1], d[2], d[3] = s[0], s[2], s[4], s[6]
		d[4], d[5], d[6], d[7] = s[8], s[10], s[12], s[14]
		to, from = to[8:], from[16:]
	}
	for i := range to {
		to[i] = from[2*i]
	}
}

// inside returns the columns [lo, hi) of phase j that lie within the image.
func (k Conv) inside(j int) (lo, hi int) {
	if j < k.Pad {
		lo = min(k.pw, (k.Pad-j+k.Stride-1)/k.Stride)
	}
	// n·Stride + j − Pad ≤ W − 1
	if last := k.W - 1 + k.Pad - j; last >= 0 {
		hi = min(k.pw, last/k.Stride+1)
	}
	return lo, max(lo, hi)
}

// fromPhases writes what toPhases would have taken a block of rows of phases
// from, plus bias (C) unless it is nil. Pixels that no phase holds get the bias
// alone.
func fromPhases[T Float](x, phases, bias []T, k Conv, p block) {
	rows := p.r1 - p.r0
	n := (p.b1 - p.b0) * rows * k.pw
	last := p.r1
	if last == k.ph { // rows below the last window
		last = k.H + k.Pad + 1
	}
	bare := k.fw < k.Stride || k.pw*k.Stride < k.W+k.Pad // some columns are of no phase
	for c := range k.C {
		var v T
		if bias != nil {
			v = bias[c]
		}
		for b := p.b0; b < p.b1; b++ {
			plane := x[(b*k.C+c)*k.H*k.W:][:k.H*k.W]
			for h := max(0, p.r0*k.Stride-k.Pad); h < min(k.H, last*k.Stride-k.Pad); h++ {
				to := plane[h*k.W : (h+1)*k.W]
				r, i := (h+k.Pad)/k.Stride, (h+k.Pad)%k.Stride
				if i >= k.fh || r >= p.r1 {
					fill(to, v)
					continue
				}
				if bare {
					fill(to, v)
				}
				row := phases[(c*k.fh+i)*k.fw*n+((b-p.b0)*rows+r-p.r0)*k.pw:]
				if k.Stride == 2 && k.fw == 2 && !bare {
					even, odd := row[k.Pad/2:k.pw], row[n+k.Pad/2:n+k.pw]
					if k.Pad%2 == 1 {
						even, odd = odd, even[1:]
					}
					alternate(to, even, odd, v)
					continue
				}
				for j := range k.fw {
					lo, hi := k.inside(j)
					from := row[j*n+lo : j*n+hi]
					for s, w := 0, lo*k.Stride+j-k.Pad; s < len(from) && w < len(to); s, w = s+1, w+k.Stride {
						to[w] = from[s] + v
					}
				}
			}
		}
	}
}

// alternate sets to[2i] = even[i] + v and to[2i+1] = odd[i] + v.
func alternate[T Float](to, even, odd []T, v T) {
	for len(to) >= 8 && len(even) >= 4 && len(odd) >= 4 {
		d, e, o := (*[8]T)(to), (*[4]T)(even), (*[4]T)(odd)
		d[0], d[1], d[2], d[3] = e[0]+v, o[0]+v, e[1]+v, o[1]+v
		d[4], d[5], d[6], d[7] = e[2]+v, o[2]+v, e[3]+v, o[3]+v
		to, even, odd = to[8:], even[4:], odd[4:]
	}
	for i := range to {
		if i%2 == 0 {
			to[i] = even[i/2] + v
		} else {
			to[i] = odd[i/2] + v
		}
	}
}

// spaced lays out dy (B, O, OH, OW) for a block like phases: rows of k.pw
// columns, zeros after the OW of the result. With before, each plane starts with
// what taps may reach back to: k.tw zeros, and k.th rows, real ones or zeros.
// Without, k.th rows of zeros follow every image's.
func spaced[T Float](planes, dy []T, k Conv, p block, before bool) {
	at := 0
	zeros := func(n int) {
		clear(planes[at : at+n])
		at += n
	}
	for o := range k.O {
		if before {
			zeros(k.tw)
		}
		for b := p.b0; b < p.b1; b++ {
			plane := dy[(b*k.O+o)*k.OH*k.OW:][:k.OH*k.OW]
			first := p.r0
			if before && b == p.b0 {
				first -= k.th
			}
			for r := first; r < p.r1; r++ {
				if r < 0 || r >= k.OH {
					zeros(k.pw)
					continue
				}
				copy(planes[at:], plane[r*k.OW:(r+1)*k.OW])
				at += k.OW
				zeros(k.tw)
			}
			if !before {
				zeros(k.th * k.pw)
			}
		}
	}
}
