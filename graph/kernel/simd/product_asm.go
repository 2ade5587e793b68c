//go:build amd64 && !noasm

package simd

// tile is the signature of the kernels in product_amd64.s. Strides are bytes.
type tile func(k int, a *float32, rsa, csa int, b *float32, rsb int, c *float32, ldc int, alpha float32, acc, tail int)

// By number of rows; the last digit of a name is the number of vectors.
var (
	tiles512x2 = [15]tile{nil, tile512_1x2, tile512_2x2, tile512_3x2, tile512_4x2, tile512_5x2, tile512_6x2, tile512_7x2,
		tile512_8x2, tile512_9x2, tile512_10x2, tile512_11x2, tile512_12x2, tile512_13x2, tile512_14x2}
	tiles512x1 = [15]tile{nil, tile512_1x1, tile512_2x1, tile512_3x1, tile512_4x1, tile512_5x1, tile512_6x1, tile512_7x1,
		tile512_8x1, tile512_9x1, tile512_10x1, tile512_11x1, tile512_12x1, tile512_13x1, tile512_14x1}
	tiles512x4 = [7]tile{nil, tile512_1x4, tile512_2x4, tile512_3x4, tile512_4x4, tile512_5x4, tile512_6x4}
	tiles256x2 = [7]tile{nil, tile256_1x2, tile256_2x2, tile256_3x2, tile256_4x2, tile256_5x2, tile256_6x2}
	tiles256x1 = [7]tile{nil, tile256_1x1, tile256_2x1, tile256_3x1, tile256_4x1, tile256_5x1, tile256_6x1}
)

// one is 1 for true.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// PackPanel writes k rows of w ≤ PanelWidth columns of op(B) to a panel: rows
// of PanelWidth numbers, those beyond w arbitrary. b starts at the first
// element; tb says that it holds the transpose.
func PackPanel(panel []float32, tb bool, b []float32, ldb, k, w int) {
	if k == 0 || w == 0 {
		return
	}
	nr := PanelWidth()
	holds(panel, k, nr, nr)
	if !tb {
		holds(b, k, w, ldb)
		if w <= nr/2 && nr == 32 {
			copyRows512(k, &b[0], ldb*4, &panel[0], nr*4, w)
			return
		}
		if w <= nr/2 {
			for l := range k {
				row := panel[l*nr : (l+1)*nr]
				clear(row[copy(row, b[l*ldb:l*ldb+w]):])
			}
			return
		}
		if nr == 32 {
			copyPanel512(k, &b[0], ldb*4, &panel[0], w-16)
		} else {
			copyPanel256(k, &b[0], ldb*4, &panel[0], w-8)
		}
		return
	}
	holds(b, w, k, ldb)
	if w < nr && nr == 16 { // AVX-512 leaves out what lies beyond w
		clear(panel[:k*nr])
	}
	deep := k &^ 7
	j := 0
	for ; j+8 <= w; j += 8 {
		if deep > 0 {
			transpose8(deep/8, &b[j*ldb], ldb*4, &panel[j], nr*4)
		}
		for l := deep; l < k; l++ {
			for r := range 8 {
				panel[l*nr+j+r] = b[(j+r)*ldb+l]
			}
		}
	}
	for ; j < w; j++ {
		for l, v := range b[j*ldb : j*ldb+k] {
			panel[l*nr+j] = v
		}
	}
}

// BlockScratch is the number of elements of scratch that MulPanels needs for m
// rows and depth k.
func BlockScratch(m, k int) int { return m*k + slack }

// MulPanels computes C = α op(A) B, plus C if acc, for n columns of B in panels
// of depth k, one after the other, as PackPanel makes them. A starts at its
// first element; ta says that it holds the transpose.
func MulPanels(ta bool, m, n, k int, alpha float32, a []float32, lda int, panels []float32, acc bool, c []float32, ldc int, scratch []float32) {
	if m == 0 || n == 0 {
		return
	}
	mr, nr := TileRows(), PanelWidth()
	holds(c, m, n, ldc)
	if k == 0 {
		if !acc {
			for i := range m {
				clear(c[i*ldc : i*ldc+n])
			}
		}
		return
	}
	_ = panels[(n+nr-1)/nr*nr*k-1]
	if ta {
		holds(a, k, m, lda)
	} else {
		holds(a, m, k, lda)
	}
	// Rows of A can be read where they are if few panels go over them, unless
	// their distance makes them compete for the same places in the cache.
	direct := (n <= 256 || m < mr || ta) && lda%256 != 0
	if !direct {
		packA(scratch[:BlockScratch(m, k)], ta, a, lda, m, k, mr)
	}
	for j := 0; j < n; j += nr {
		w := min(nr, n-j)
		p := &panels[j*k]
		for i := 0; i < m; i += mr {
			h := min(mr, m-i)
			rsa, csa := 4, h*4
			var pa *float32
			switch {
			case direct && ta:
				pa, rsa, csa = &a[i], 4, lda*4
			case direct:
				pa, rsa, csa = &a[i*lda], lda*4, 4
			default:
				pa = &scratch[i*k]
			}
			pc := &c[i*ldc+j]
			switch {
			case nr == 32 && w > 16:
				tiles512x2[h](k, pa, rsa, csa, p, 128, pc, ldc*4, alpha, one(acc), w-16)
			case nr == 32:
				tiles512x1[h](k, pa, rsa, csa, p, 128, pc, ldc*4, alpha, one(acc), w)
			case w > 8:
				tiles256x2[h](k, pa, rsa, csa, p, 64, pc, ldc*4, alpha, one(acc), w-8)
			default:
				tiles256x1[h](k, pa, rsa, csa, p, 64, pc, ldc*4, alpha, one(acc), w)
			}
		}
	}
}

// packA lays op(A) out by blocks of mr rows, column by column.
func packA(dst []float32, ta bool, a []float32, lda, m, k, mr int) {
	for i := 0; i < m; i += mr {
		h := min(mr, m-i)
		to := dst[i*k:]
		if ta {
			if mr == 14 {
				copyRows512(k, &a[i], lda*4, &to[0], h*4, h)
				continue
			}
			for l := range k {
				copy(to[l*h:l*h+h], a[l*lda+i:])
			}
			continue
		}
		done := 0
		if deep := k &^ 7; deep > 0 {
			switch {
			case h >= 8:
				transpose8(deep/8, &a[i*lda], lda*4, &to[0], h*4)
				transpose8(deep/8, &a[(i+h-8)*lda], lda*4, &to[h-8], h*4)
				done = deep
			case i+8 <= m: // rows beyond h are overwritten by the next column
				transpose8(deep/8, &a[i*lda], lda*4, &to[0], h*4)
				done = deep
			}
		}
		for r := range h {
			for l := done; l < k; l++ {
				to[l*h+r] = a[(i+r)*lda+l]
			}
		}
	}
}

// Raw reports whether MulRaw serves products of m rows.
func Raw(m int) bool { return m == 1 || Active() == AVX512 }

// MulRaw computes C = α A B, plus C if acc, with A and B read where they are.
// Element (i, l) of A is a[i·rsa + l·csa].
func MulRaw(m, n, k int, alpha float32, a []float32, rsa, csa int, b []float32, ldb int, acc bool, c []float32, ldc int) {
	if m == 0 || n == 0 || k == 0 {
		return
	}
	_ = a[(m-1)*rsa+(k-1)*csa]
	holds(b, k, n, ldb)
	holds(c, m, n, ldc)
	if m == 1 {
		rowRaw(n, k, alpha, a, csa, b, ldb, acc, c)
		return
	}
	for i := 0; i < m; i += 14 {
		h := min(14, m-i)
		pa := &a[i*rsa]
		for j := 0; j < n; {
			f, w, tail := widest(h, n-j)
			f(k, pa, rsa*4, csa*4, &b[j], ldb*4, &c[i*ldc+j], ldc*4, alpha, one(acc), tail)
			j += w
		}
	}
}

// widest is the kernel for h rows that covers most of n columns, how many it
// covers, and how many lanes of its last vector.
func widest(h, n int) (f tile, w, tail int) {
	switch {
	case h <= 6 && n > 48:
		w = min(n, 64)
		return tiles512x4[h], w, w - 48
	case n > 16:
		w = min(n, 32)
		return tiles512x2[h], w, w - 16
	}
	return tiles512x1[h], n, n
}

// rowRaw is MulRaw of one row. It goes along the rows of B, which memory likes
// better than narrow panels.
func rowRaw(n, k int, alpha float32, a []float32, csa int, b []float32, ldb int, acc bool, c []float32) {
	wide := wide()
	var buf [1024]float32
	for j := 0; j < n; j += len(buf) {
		w := min(n-j, len(buf))
		y := c[j : j+w]
		sum := y
		if acc {
			sum = buf[:w]
		}
		clear(sum)
		l := 0
		var x [8]float32
		for ; l+len(x) <= k; l += len(x) {
			for i := range x {
				x[i] = a[(l+i)*csa]
			}
			if wide {
				axpys512_8(w, &x[0], &b[l*ldb+j], ldb*4, &sum[0])
			} else {
				axpys256_8(w, &x[0], &b[l*ldb+j], ldb*4, &sum[0])
			}
		}
		for ; l < k; l++ {
			if wide {
				axpys512_1(w, &a[l*csa], &b[l*ldb+j], ldb*4, &sum[0])
			} else {
				axpys256_1(w, &a[l*csa], &b[l*ldb+j], ldb*4, &sum[0])
			}
		}
		switch {
		case acc:
			Axpy(y, sum, alpha)
		case alpha != 1:
			Scale(y, y, alpha)
		}
	}
}

// Prefetch asks for x to be brought into the second cache.
func Prefetch(x []float32) {
	if len(x) > 0 {
		prefetch(&x[0], (len(x)+15)/16)
	}
}

// Dots sets y[i] to the inner product of x (k) and row i of w, rows being ldw
// apart. The order of its sums is not that of tiles.
func Dots(y, x, w []float32, ldw int) {
	k := len(x)
	if k == 0 {
		clear(y)
		return
	}
	holds(w, len(y), k, ldw)
	i := 0
	for ; i+4 <= len(y); i += 4 {
		dots4(k, &x[0], &w[i*ldw], ldw*4, &y[i])
	}
	for ; i < len(y); i++ {
		dots1(k, &x[0], &w[i*ldw], ldw*4, &y[i])
	}
}
