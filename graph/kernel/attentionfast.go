package kernel

import "tessera/graph/kernel/simd"

// attention32 is Attention, or AttentionWeights if y is nil, strip by strip of
// queries: scores, softmax and the average of values while they are in cache.
func attention32(y, weights, dropped, q, k, v, mask []float32, at Mask, c Heads, key Key) {
	const run = 196 // queries of a job at most
	runs := (c.N + run - 1) / run
	strip := simd.TileRows()
	size := up((c.N+max(1, runs)-1)/max(1, runs), strip)
	Chunks(c.B*c.H*runs, min(c.N, size)*c.M*(2*c.K+2*c.V+softmaxCost), func(lo, hi int) {
		kp, vp, own := scratch32(panelsSize(c.M, c.K)), scratch32(panelsSize(c.V, c.M)), scratch32(strip*c.M)
		a := scratch32(simd.BlockScratch(strip, max(c.K, min(depth, c.M))))
		for i := lo; i < hi; i++ {
			b, h := i/runs/c.H, i/runs%c.H
			packAll(*kp, true, from(k, b*c.M*c.H*c.K+h*c.K), c.H*c.K, c.K, c.M)
			if y != nil {
				packAll(*vp, false, from(v, b*c.M*c.H*c.V+h*c.V), c.H*c.V, c.M, c.V)
			}
			first := i % runs * size
			for n := first; n < min(c.N, first+size); n += strip {
				m := min(strip, c.N-n)
				row := (b*c.H+h)*c.N + n
				s := (*own)[:m*c.M]
				if weights != nil {
					s = weights[row*c.M : (row+m)*c.M]
				}
				mulAll(false, m, c.M, c.K, float32(c.Scale), q[(b*c.N+n)*c.H*c.K+h*c.K:], c.H*c.K, *kp, s, c.M, *a)
				if mask == nil {
					simd.Softmax(s, s, nil, c.M, 1)
				} else {
					maskedSoftmax(s, mask, at, row, c.M)
				}
				if y == nil {
					continue
				}
				if c.Dropout > 0 {
					left := s
					if dropped != nil {
						left = dropped[row*c.M : (row+m)*c.M]
					}
					dropout(left, s, c.Dropout, key, row*c.M)
					s = left
				}
				mulAll(false, m, c.V, c.M, 1, s, c.M, *vp, y[(b*c.N+n)*c.H*c.V+h*c.V:], c.H*c.V, *a)
			}
		}
		free32(kp)
		free32(vp)
		free32(own)
		free32(a)
	})
}

// maskedSoftmax is softmax of rows of n scores, the first of which is row first
// of all.
func maskedSoftmax(s, mask []float32, at Mask, first, n int) {
	for r := 0; r*n < len(s); r++ {
		w := s[r*n : (r+1)*n]
		simd.Softmax(w, w, maskRow(at, mask, first+r), n, 1)
	}
}

// attentionBackward32 is AttentionBackward by whole heads.
func attentionBackward32(dq, dk, dv, scores, q, k, v, weights, dropped, dy []float32, c Heads) {
	left := weights
	if c.Dropout > 0 {
		left = dropped
	}
	wideK, wideV := c.H*c.K, c.H*c.V
	Chunks(c.B*c.H, c.N*c.M*(4*c.K+4*c.V), func(lo, hi int) {
		panels := scratch32(max(panelsSize(c.M, c.V), panelsSize(c.K, c.M), panelsSize(c.K, c.N), panelsSize(c.V, c.N)))
		a := scratch32(simd.BlockScratch(blockRows, min(depth, max(c.N, c.M, c.K, c.V))))
		own := scratch32(c.N * c.M)
		for i := lo; i < hi; i++ {
			b, h := i/c.H, i%c.H
			toN, toM := b*c.N*wideK+h*c.K, b*c.M*wideK+h*c.K
			toY, toV := b*c.N*wideV+h*c.V, b*c.M*wideV+h*c.V
			w := i * c.N * c.M
			if dv != nil {
				packAll(*panels, false, from(dy, toY), wideV, c.N, c.V)
				mulAll(true, c.M, c.V, c.N, 1, left[w:], c.M, *panels, from(dv, toV), wideV, *a)
			}
			if dq == nil && dk == nil && scores == nil {
				continue
			}
			s := *own
			if scores != nil {
				s = scores[w : w+c.N*c.M]
			}
			packAll(*panels, true, from(v, toV), wideV, c.V, c.M)
			mulAll(false, c.N, c.M, c.V, 1, from(dy, toY), wideV, *panels, s, c.M, *a)
			if c.Dropout > 0 {
				undrop(s, left[w:], c.Dropout)
			}
			simd.SoftmaxBackward(s, weights[w:], s, c.M, 1)
			if dq != nil {
				packAll(*panels, false, from(k, toM), wideK, c.M, c.K)
				mulAll(false, c.N, c.K, c.M, float32(c.Scale), s, c.M, *panels, from(dq, toN), wideK, *a)
			}
			if dk != nil {
				packAll(*panels, false, from(q, toN), wideK, c.N, c.K)
				mulAll(true, c.M, c.K, c.N, float32(c.Scale), s, c.M, *panels, from(dk, toM), wideK, *a)
			}
		}
		free32(panels)
		free32(a)
		free32(own)
	})
}

// panelsSize is the number of elements of all panels of a factor (k, n).
func panelsSize(n, k int) int { return up(n, simd.PanelWidth()) * k }

// packAll packs op(B) (k, n), one depth after the other.
func packAll(panels []float32, tb bool, b []float32, ldb, k, n int) {
	for l := 0; l < k; l += depth {
		packPanels(panels[panelsSize(n, l):], tb, b[offset(tb, l, 0, ldb):], ldb, min(depth, k-l), n)
	}
}

// mulAll computes C = α op(A) B on one goroutine, with B as packAll packs it.
func mulAll(ta bool, m, n, k int, alpha float32, a []float32, lda int, panels, c []float32, ldc int, scratch []float32) {
	if k == 0 {
		scaleRows(m, n, 0, c, ldc)
	}
	for l := 0; l < k; l += depth {
		for i := 0; i < m; i += blockRows {
			simd.MulPanels(ta, min(blockRows, m-i), n, min(depth, k-l), alpha, a[offset(ta, i, l, lda):], lda,
				panels[panelsSize(n, l):], l > 0, c[i*ldc:], ldc, scratch)
		}
	}
}
