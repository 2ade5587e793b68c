package kernel

// Heads describes attention with several heads (arXiv:1706.03762). Head h of
// queries (B, N, H·K), keys (B, M, H·K) and values (B, M, H·V) is the columns
// from h·K or h·V on. Weights have shape (B, H, N, M).
type Heads struct {
	B, H, N, M, K, V int
	Scale            float64 // of the scores
	Dropout          float64 // probability of zeroing a weight
}

// queryRows is how many queries of a head one job handles.
const queryRows = 64

// Attention writes softmax(Scale · q kᵀ + mask) to weights, zeros where a row
// is masked throughout, and the products of weights and values to y
// (B, N, H·V). With dropout, the products are with dropped, to which it writes
// the weights that are left. mask may be nil; at tells its rows. Both weights
// and dropped may be nil, if nobody wants them.
func Attention[T Float](y, weights, dropped, q, k, v, mask []T, at Mask, c Heads, key Key) {
	if fast[T]() {
		attention32(singles(y), singles(weights), singles(dropped), singles(q), singles(k), singles(v), singles(mask), at, c, key)
		return
	}
	c.queries(func(b, h, n0, n1 int) {
		w, first := attentionWeights(weights, q, k, mask, at, c, b, h, n0, n1)
		if c.Dropout > 0 {
			d := w
			if dropped != nil {
				d = dropped[first : first+len(w)]
			}
			dropout(d, w, c.Dropout, key, first)
			w = d
		}
		wide := c.H * c.V
		matMul(false, false, n1-n0, c.V, c.M, 1, w, c.M, from(v, b*c.M*wide+h*c.V), wide, 0, y[(b*c.N+n0)*wide+h*c.V:], wide)
	})
}

// AttentionWeights writes the weights that Attention would use, without
// dropout.
func AttentionWeights[T Float](weights, q, k, mask []T, at Mask, c Heads) {
	if fast[T]() {
		c.Dropout = 0
		attention32(nil, singles(weights), nil, singles(q), singles(k), nil, singles(mask), at, c, 0)
		return
	}
	c.queries(func(b, h, n0, n1 int) { attentionWeights(weights, q, k, mask, at, c, b, h, n0, n1) })
}

// queries calls f for runs n0, …, n1−1 of the queries of every head, in
// parallel.
func (c Heads) queries(f func(b, h, n0, n1 int)) {
	runs := (c.N + queryRows - 1) / queryRows
	cost := min(c.N, queryRows) * c.M * (2*c.K + 2*c.V + softmaxCost)
	Chunks(c.B*c.H*runs, cost, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			n0 := i % runs * queryRows
			f(i/runs/c.H, i/runs%c.H, n0, min(c.N, n0+queryRows))
		}
	})
}

// attentionWeights fills the weights of some queries of a head and returns
// them with their place in all weights.
func attentionWeights[T Float](weights, q, k, mask []T, at Mask, c Heads, b, h, n0, n1 int) ([]T, int) {
	wide := c.H * c.K
	row0 := (b*c.H+h)*c.N + n0
	var w []T
	if weights == nil {
		w = make([]T, (n1-n0)*c.M)
	} else {
		w = weights[row0*c.M : (row0+n1-n0)*c.M]
	}
	matMul(false, true, n1-n0, c.M, c.K, T(c.Scale), q[(b*c.N+n0)*wide+h*c.K:], wide, from(k, b*c.M*wide+h*c.K), wide, 0, w, c.M)
	for i := range n1 - n0 {
		s := w[i*c.M : (i+1)*c.M]
		softmax(s, s, maskRow(at, mask, row0+i))
	}
	return w, row0 * c.M
}

// from is the rest of x from element i on. An empty x has no place for a head
// to start at.
func from[T Float](x []T, i int) []T { return x[min(i, len(x)):] }

// AttentionBackward computes the gradients of queries, keys and values, any of
// which may be nil, from that of y. It leaves that of the masked scores in
// scores, of the weights' size, which may be nil with dq and dk. dropped is
// read only with dropout.
func AttentionBackward[T Float](dq, dk, dv, scores, q, k, v, weights, dropped, dy []T, c Heads) {
	if fast[T]() && c.B*c.H >= manyProducts {
		attentionBackward32(singles(dq), singles(dk), singles(dv), singles(scores), singles(q), singles(k), singles(v),
			singles(weights), singles(dropped), singles(dy), c)
		return
	}
	mul := matMul[T]
	if c.B*c.H < manyProducts {
		mul = MatMul[T]
	}
	left := weights
	if c.Dropout > 0 {
		left = dropped
	}
	wideK, wideV := c.H*c.K, c.H*c.V
	Chunks(c.B*c.H, c.N*c.M*(4*c.K+4*c.V), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			// where the head starts
			b, h := i/c.H, i%c.H
			toN, toM := b*c.N*wideK+h*c.K, b*c.M*wideK+h*c.K
			toY, toV := b*c.N*wideV+h*c.V, b*c.M*wideV+h*c.V
			w := i * c.N * c.M
			if dv != nil {
				mul(true, false, c.M, c.V, c.N, 1, left[w:], c.M, from(dy, toY), wideV, 0, from(dv, toV), wideV)
			}
			if scores == nil {
				continue
			}
			s := scores[w : w+c.N*c.M]
			mul(false, true, c.N, c.M, c.V, 1, from(dy, toY), wideV, from(v, toV), wideV, 0, s, c.M)
			for j := range c.N {
				j *= c.M
				scoresBackward(s[j:j+c.M], weights[w+j:], left[w+j:], c.Dropout)
			}
			if dq != nil {
				mul(false, false, c.N, c.K, c.M, T(c.Scale), s, c.M, from(k, toM), wideK, 0, from(dq, toN), wideK)
			}
			if dk != nil {
				mul(true, false, c.M, c.K, c.N, T(c.Scale), s, c.M, from(q, toN), wideK, 0, from(dk, toM), wideK)
			}
		}
	})
}

// scoresBackward turns the gradient of a row of the weights that are left after
// dropout into that of the scores.
func scoresBackward[T Float](ds, weights, left []T, p float64) {
	weights, left = weights[:len(ds)], left[:len(ds)]
	sum := T(dot(left, ds))
	if p > 0 {
		undrop(ds, left, p)
	}
	for j, d := range ds {
		ds[j] = weights[j] * (d - sum)
	}
}

// undrop turns the gradient of the weights that dropout left into that of all.
func undrop[T Float](d, left []T, p float64) {
	scale := T(1 / (1 - p))
	for j := range d {
		// A weight of 0 looks dropped, which makes no difference.
		if left[j] == 0 {
			d[j] *= 0
		} else {
			d[j] *= scale
		}
	}
}
