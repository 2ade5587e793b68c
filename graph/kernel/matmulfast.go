package kernel

import "tessera/graph/kernel/simd"

// product32 is a product in float32 on package simd's tiles. Elements of C do
// not depend on the rows and columns computed with them, so that a program for
// one row gives the bytes of a program for many. The exception is a single row
// times a B that is stored transposed and not packed.
type product32 struct {
	ta, tb        bool
	m, n, k       int
	alpha, beta   float32
	a, b, c       []float32
	lda, ldb, ldc int
	packed        *Packed              // instead of b
	finish        func(i, m, j, n int) // of a block of C that is complete; may be nil
	sameRows      bool                 // a single row is computed like many
}

const (
	// depth is how much of k tiles go through at once: a panel of B stays in
	// cache. It is fixed, so that sums over longer k begin alike.
	depth = 768
	// across is how many columns of B are packed at once.
	across = 4096
	// blockJobs is about how many blocks a large C is divided into.
	blockJobs = 32
	blockRows = 252 // most rows of a block; the part of A stays in cache
	// serialWork is the number of multiplications below which another goroutine
	// does not pay.
	serialWork = 1 << 17
	// rawSize is the size of B up to which packing it does not pay.
	rawSize = 48 << 10
)

// newProduct32 returns false if T is not float32 or there are no fast kernels.
func newProduct32[T Float](ta, tb bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) (p product32, ok bool) {
	if !fast[T]() {
		return p, false
	}
	return product32{
		ta: ta, tb: tb, m: m, n: n, k: k, alpha: float32(alpha), beta: float32(beta),
		a: singles(a), b: singles(b), c: singles(c), lda: lda, ldb: ldb, ldc: ldc,
	}, true
}

// start scales C by β. It returns whether products are to be added to it, and
// whether there are any.
func (p *product32) start() (acc, any bool) {
	any = p.m > 0 && p.n > 0 && p.k > 0 && p.alpha != 0
	if any && p.beta == 0 {
		return false, true
	}
	scaleRows(p.m, p.n, p.beta, p.c, p.ldc)
	return true, any
}

// run computes the product on all cores.
func (p *product32) run() {
	if p.m*p.n*p.k < serialWork {
		p.serial()
		return
	}
	acc, any := p.start()
	switch {
	case !any:
		p.done(0, p.m, 0, p.n)
	case p.dots(acc, true), p.raw(acc, true):
	default:
		p.tiled(acc)
	}
}

// serial computes the product on one goroutine.
func (p *product32) serial() {
	acc, any := p.start()
	switch {
	case !any:
		p.done(0, p.m, 0, p.n)
	case p.dots(acc, false), p.raw(acc, false):
	default:
		p.tiledSerial(acc)
	}
}

func (p *product32) done(i, m, j, n int) {
	if p.finish != nil && m > 0 && n > 0 {
		p.finish(i, m, j, n)
	}
}

// dots serves one row times a transposed B.
func (p *product32) dots(acc, parallel bool) bool {
	if p.m != 1 || !p.tb || p.packed != nil || p.sameRows {
		return false
	}
	x := scratch32(p.k)
	for l := range *x {
		(*x)[l] = p.alpha * p.a[offset(p.ta, 0, l, p.lda)]
	}
	inRuns(parallel, p.n, 64, p.k, func(lo, hi int) {
		y := p.c[lo:hi]
		if acc {
			sum := scratch32(hi - lo)
			simd.Dots(*sum, *x, p.b[lo*p.ldb:], p.ldb)
			for j, v := range *sum {
				y[j] += v
			}
			free32(sum)
		} else {
			simd.Dots(y, *x, p.b[lo*p.ldb:], p.ldb)
		}
		p.done(0, 1, lo, hi-lo)
	})
	free32(x)
	return true
}

// raw serves products whose B is used where it is.
func (p *product32) raw(acc, parallel bool) bool {
	few := p.m < 14
	if p.tb || p.packed != nil || !simd.Raw(p.m) || !few && (p.k*p.n > rawSize || p.ldb%256 == 0) {
		return false
	}
	switch unit := 128; {
	case !parallel:
		p.rawBlock(acc, 0, p.m, 0, p.n)
	case few:
		if p.m == 1 {
			unit = 1536 // long runs of B's rows
		}
		inRuns(true, p.n, unit, p.m*p.k, func(lo, hi int) { p.rawBlock(acc, 0, p.m, lo, hi-lo) })
	default:
		inRuns(true, p.m, 14, p.n*p.k, func(lo, hi int) { p.rawBlock(acc, lo, hi-lo, 0, p.n) })
	}
	return true
}

// rawBlock computes a block of C from A and B as they are stored.
func (p *product32) rawBlock(acc bool, i, m, j, n int) {
	rsa, csa := p.lda, 1
	if p.ta {
		rsa, csa = 1, p.lda
	}
	for l := 0; l < p.k; l += depth {
		simd.MulRaw(m, n, min(depth, p.k-l), p.alpha, p.a[i*rsa+l*csa:], rsa, csa, p.b[l*p.ldb+j:], p.ldb, acc || l > 0, p.c[i*p.ldc+j:], p.ldc)
	}
	p.done(i, m, j, n)
}

// inRuns divides n items of cost multiplications into runs of a multiple of unit.
func inRuns(parallel bool, n, unit, cost int, f func(lo, hi int)) {
	if !parallel {
		f(0, n)
		return
	}
	size := max(unit, ((serialWork/4/max(1, cost))+unit-1)/unit*unit, (n+2*blockJobs*unit-1)/(2*blockJobs*unit)*unit)
	Parallel((n+size-1)/size, func(i int) { f(i*size, min(n, (i+1)*size)) })
}

// tiled packs B, unless it is, and computes blocks of C in parallel.
func (p *product32) tiled(acc bool) {
	nr, mr := simd.PanelWidth(), simd.TileRows()
	rows := up((p.m+blockJobs-1)/blockJobs, mr)
	rows = min(rows, blockRows/mr*mr)
	down := (p.m + rows - 1) / rows
	for jc := 0; jc < p.n; jc += across {
		n := min(across, p.n-jc)
		cols := n // of a block: fewer if rows do not give enough blocks
		if down < blockJobs/4 {
			wide := (blockJobs/4 + down - 1) / down
			cols = max(128, up((n+wide-1)/wide, nr))
		}
		wide := (n + cols - 1) / cols
		var buf *[]float32
		if p.packed == nil {
			buf = scratch32(up(n, nr) * min(depth, p.k))
		}
		for l := 0; l < p.k; l += depth {
			k := min(depth, p.k-l)
			panels := p.panels(packParallel, buf, l, k, jc, n)
			last := l+k == p.k
			Parallel(down*wide, func(t int) {
				i, j := t/wide*rows, t%wide*cols
				m, n := min(rows, p.m-i), min(cols, n-j)
				p.block(i, m, l, k, jc+j, n, panels[j*k:], acc || l > 0)
				if last {
					p.done(i, m, jc+j, n)
				}
			})
		}
		free32(buf)
	}
}

// panels returns columns jc … of B at depth l, packed in buf unless they are.
func (p *product32) panels(pack func([]float32, bool, []float32, int, int, int), buf *[]float32, l, k, jc, n int) []float32 {
	if p.packed != nil {
		return p.packed.at(l, k, jc)
	}
	pack(*buf, p.tb, p.b[offset(p.tb, l, jc, p.ldb):], p.ldb, k, n)
	return *buf
}

// block adds the products of depth l … to a block of C.
func (p *product32) block(i, m, l, k, j, n int, panels []float32, acc bool) {
	s := scratch32(simd.BlockScratch(m, k))
	simd.MulPanels(p.ta, m, n, k, p.alpha, p.a[offset(p.ta, i, l, p.lda):], p.lda, panels, acc, p.c[i*p.ldc+j:], p.ldc, *s)
	free32(s)
}

// tiledSerial is tiled on one goroutine.
func (p *product32) tiledSerial(acc bool) {
	nr := simd.PanelWidth()
	for jc := 0; jc < p.n; jc += across {
		n := min(across, p.n-jc)
		var buf *[]float32
		if p.packed == nil {
			buf = scratch32(up(n, nr) * min(depth, p.k))
		}
		for l := 0; l < p.k; l += depth {
			k := min(depth, p.k-l)
			panels := p.panels(packPanels, buf, l, k, jc, n)
			for i := 0; i < p.m; i += blockRows {
				p.block(i, min(blockRows, p.m-i), l, k, jc, n, panels, acc || l > 0)
			}
		}
		free32(buf)
	}
	p.done(0, p.m, 0, p.n)
}

// strips32 reports whether batch32 pays for products of this size: B stays in
// the second cache with the rest, but is more than a tile goes over at once.
func strips32(m, n, k int) bool {
	return m >= simd.TileRows() && k > 0 && k <= depth && k*n >= 8<<10 && k*n <= 64<<10
}

// batch32 is BatchMatMul with β = 0 of many small products without gaps between
// rows of A and C. Strip by strip of rows it asks for what the next one reads
// and writes: short strides are more than the processor foresees.
func batch32(batch int, tb bool, m, n, k int, alpha float32, a []float32, sa int, b []float32, ldb, sb int, c []float32, sc int) {
	nr, strips := simd.PanelWidth(), (m+simd.TileRows()-1)/simd.TileRows()
	strip := (m + strips - 1) / strips
	sizeB := k * ldb
	if tb {
		sizeB = n * ldb
	}
	share := (sizeB + strips - 1) / strips
	jobs := min(batch, 2*blockJobs)
	Parallel(jobs, func(g int) {
		lo, hi := g*batch/jobs, (g+1)*batch/jobs
		panels, s := scratch32(panelsSize(n, k)), scratch32(simd.BlockScratch(strip, k))
		for i := lo; i < hi; i++ {
			packPanels(*panels, tb, b[i*sb:], ldb, k, n)
			ai, ci := a[i*sa:], c[i*sc:]
			for t := range strips {
				r := t * m / strips // even strips
				h := (t+1)*m/strips - r
				var nextA, nextC []float32
				if end := (t + 2) * m / strips; t+1 < strips {
					nextA, nextC = ai[(r+h)*k:end*k], ci[(r+h)*n:end*n]
				} else if i+1 < hi {
					nextA, nextC = a[(i+1)*sa:(i+1)*sa+strip*k], c[(i+1)*sc:(i+1)*sc+strip*n]
				}
				var nextB []float32
				if at := (i+1)*sb + t*share; i+1 < hi {
					nextB = b[min(len(b), at):min(len(b), at+share)]
				}
				for j := 0; j < n; j += nr {
					// Few at a time: the processor waits for more.
					simd.Prefetch(part(nextC, j, n, nr))
					simd.Prefetch(part(nextA, j, n, nr))
					simd.Prefetch(part(nextB, j, n, nr))
					simd.MulPanels(false, h, min(nr, n-j), k, alpha, ai[r*k:], k, (*panels)[j*k:], false, ci[r*n+j:], n, *s)
				}
			}
		}
		free32(panels)
		free32(s)
	})
}

// part is the share of x that belongs to columns j, …, j+w−1 of n.
func part(x []float32, j, n, w int) []float32 {
	return x[j*len(x)/n : min(n, j+w)*len(x)/n]
}

// packPanels packs n columns of B at depth k.
func packPanels(panels []float32, tb bool, b []float32, ldb, k, n int) {
	nr := simd.PanelWidth()
	for j := 0; j < n; j += nr {
		simd.PackPanel(panels[j*k:(j+nr)*k], tb, b[offset(tb, 0, j, ldb):], ldb, k, min(nr, n-j))
	}
}

// packParallel is packPanels on all cores.
func packParallel(panels []float32, tb bool, b []float32, ldb, k, n int) {
	nr := simd.PanelWidth()
	run := nr * max(1, n/nr/blockJobs, 4096/(nr*k)) // columns of a part
	Parallel((n+run-1)/run, func(t int) {
		j := t * run
		packPanels(panels[j*k:], tb, b[offset(tb, 0, j, ldb):], ldb, k, min(run, n-j))
	})
}

// up rounds up to a multiple of unit.
func up(n, unit int) int { return (n + unit - 1) / unit * unit }
