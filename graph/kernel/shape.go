package kernel

// axis is one loop over a pair of arrays: its length and, for each array, the
// distance between neighbours.
type axis struct {
	n      int
	stride [2]int
}

// axes is a nest of loops, the outermost first.
type axes []axis

func (s axes) size() int {
	n := 1
	for _, a := range s {
		n *= a.n
	}
	return n
}

// at returns the positions of step i of the nest in the two arrays.
func (s axes) at(i int) (p, q int) {
	if len(s) == 1 { // the usual case, without divisions
		return i * s[0].stride[0], i * s[0].stride[1]
	}
	for k := len(s) - 1; k >= 0; k-- {
		j := i % s[k].n
		i /= s[k].n
		p += j * s[k].stride[0]
		q += j * s[k].stride[1]
	}
	return p, q
}

// merged drops loops of one step and joins loops that both arrays go through
// evenly, so that the innermost run is as long as can be. One loop remains.
func (s axes) merged() axes {
	var m axes
	for _, a := range s {
		if a.n == 1 {
			continue
		}
		if k := len(m) - 1; k >= 0 && m[k].stride[0] == a.n*a.stride[0] && m[k].stride[1] == a.n*a.stride[1] {
			m[k] = axis{m[k].n * a.n, a.stride}
			continue
		}
		m = append(m, a)
	}
	if len(m) == 0 {
		m = axes{{1, [2]int{1, 1}}}
	}
	return m
}

// strides returns the distances between neighbours in a row-major array.
func strides(shape []int) []int {
	st := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		st[i] = n
		n *= shape[i]
	}
	return st
}

// Permutation is a transposition prepared for arrays of one shape.
type Permutation struct {
	outer axes
	inner axis // its second stride is 1
	row   axis // where inner's first stride is not 1: the axis for which it is
}

// NewPermutation prepares the transposition of arrays of a shape: axis i of
// the result is axis order[i] of the source.
func NewPermutation(shape, order []int) Permutation {
	from, to := strides(shape), make([]int, len(order))
	for i, a := range order {
		to[i] = shape[a]
	}
	to = strides(to)
	s := make(axes, len(order))
	for i, a := range order {
		s[i] = axis{shape[a], [2]int{from[a], to[i]}}
	}
	s = s.merged()
	p := Permutation{outer: s[:len(s)-1], inner: s[len(s)-1], row: axis{n: 1}}
	if p.inner.stride[0] == 1 {
		return p
	}
	for i, a := range p.outer {
		if a.stride[0] == 1 {
			p.row = a
			p.outer = append(append(axes{}, p.outer[:i]...), p.outer[i+1:]...)
			break
		}
	}
	return p
}

// Permute writes src transposed to dst.
func Permute[T Float](dst, src []T, p Permutation) {
	if len(src) == 0 {
		return
	}
	n := p.inner.n
	if p.inner.stride[0] == 1 {
		Chunks(p.outer.size(), n, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				s, d := p.outer.at(i)
				copy(dst[d:d+n], src[s:])
			}
		})
		return
	}
	const tile = 32 // a square of source and result fits the nearest cache
	blocks := (p.row.n + tile - 1) / tile
	Chunks(p.outer.size()*blocks, tile*n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			s, d := p.outer.at(i / blocks)
			r0 := i % blocks * tile
			r1 := min(r0+tile, p.row.n)
			for j0 := 0; j0 < n; j0 += tile {
				j1 := min(j0+tile, n)
				for r := r0; r < r1; r++ {
					to := dst[d+r*p.row.stride[1]+j0:][:j1-j0]
					at := s + r + j0*p.inner.stride[0]
					for j := range to {
						to[j] = src[at]
						at += p.inner.stride[0]
					}
				}
			}
		}
	})
}

// CopyRows copies rows of a width; ldd and lds are the distances between rows.
func CopyRows[T Float](rows, width int, dst []T, ldd int, src []T, lds int) {
	if width == 0 {
		return
	}
	Chunks(rows, width, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(dst[i*ldd:i*ldd+width], src[i*lds:])
		}
	})
}

// PadRows writes rows of n elements: src's rows of a width from column lo on,
// and zeros beside them.
func PadRows[T Float](rows, n, lo, width int, dst, src []T) {
	Chunks(rows, n, func(r0, r1 int) {
		for i := r0; i < r1; i++ {
			row := dst[i*n : (i+1)*n]
			clear(row[:lo])
			copy(row[lo:lo+width], src[i*width:])
			clear(row[lo+width:])
		}
	})
}
