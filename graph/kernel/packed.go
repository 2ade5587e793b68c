package kernel

import "tessera/graph/kernel/simd"

// Packed is a second factor op(B) (k, n) in the order in which products read
// it. It pays where B does not change: a product then reads it only.
type Packed struct {
	n, k  int
	level simd.Level // for which it is laid out
	data  []float32
}

// Pack lays op(B) out. It returns nil, which stands for not packed, if there
// are no fast kernels for T.
func Pack[T Float](tb bool, n, k int, b []T, ldb int) *Packed {
	if !fast[T]() || n == 0 || k == 0 {
		return nil
	}
	p := &Packed{n: n, k: k, level: simd.Active(), data: make([]float32, up(n, simd.PanelWidth())*k)}
	for l := 0; l < k; l += depth {
		d := min(depth, k-l)
		packParallel(p.at(l, d, 0), tb, singles(b)[offset(tb, l, 0, ldb):], ldb, d, n)
	}
	return p
}

// at is the panels from column j on, a multiple of their width, at depth l …
// l+k.
func (p *Packed) at(l, k, j int) []float32 {
	nr := simd.PanelWidth()
	return p.data[up(p.n, nr)*l+j*k:]
}

// fitting is p if it is laid out for the level in use, else nil.
func (p *Packed) fitting() *Packed {
	if p == nil || p.level != simd.Active() {
		return nil
	}
	return p
}
