package kernel

// manyProducts is the size of a batch from which on whole products, not tiles,
// run in parallel.
const manyProducts = 8

// MatMul computes the row-major product C = α op(A) op(B) + β C, where op(A) is
// (m, k) and op(B) (k, n); op transposes if ta or tb. lda, ldb and ldc are the
// lengths of stored rows. With β = 0, C is not read. Sizes may be 0. NaN and
// infinities propagate as in plain sums of products.
func MatMul[T Float](ta, tb bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	if p, ok := newProduct32(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); ok {
		p.run()
		return
	}
	p := newProduct(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	Chunks(p.tiles(), 2*p.rows*min(n, tileCols)*k, func(lo, hi int) { p.run(lo, hi) })
}

// matMul is MatMul on one goroutine, with the same result.
func matMul[T Float](ta, tb bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	if p, ok := newProduct32(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); ok {
		p.serial()
		return
	}
	p := newProduct(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	p.run(0, p.tiles())
}

// BatchMatMul computes batch products of equal sizes, the operands of product
// i at a[i·sa:], b[i·sb:] and c[i·sc:].
func BatchMatMul[T Float](batch int, ta, tb bool, m, n, k int, alpha T, a []T, lda, sa int, b []T, ldb, sb int, beta T, c []T, ldc, sc int) {
	if batch < manyProducts {
		for i := range batch {
			MatMul(ta, tb, m, n, k, alpha, a[i*sa:], lda, b[i*sb:], ldb, beta, c[i*sc:], ldc)
		}
		return
	}
	if fast[T]() && !ta && beta == 0 && alpha != 0 && lda == k && ldc == n && strips32(m, n, k) {
		batch32(batch, tb, m, n, k, float32(alpha), singles(a), sa, singles(b), ldb, sb, singles(c), sc)
		return
	}
	Chunks(batch, 2*m*n*k, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			matMul(ta, tb, m, n, k, alpha, a[i*sa:], lda, b[i*sb:], ldb, beta, c[i*sc:], ldc)
		}
	})
}
