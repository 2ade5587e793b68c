package kernel

import "fmt"

// CachedHeads describes attention to a cache that holds the keys and values of
// past tokens, (B, H, M, K) and (B, H, M, V) with room for M tokens. N new ones
// are added by every pass. Queries, new keys and new values are laid out as for
// Heads.
type CachedHeads struct {
	Heads
	Prefix int // tokens that all queries see, whatever their place
}

// QueryRows is how many queries of a head are scored together, and so the
// number of rows of scratch that a head needs.
func (c CachedHeads) QueryRows() int { return min(c.N, queryRows) }

// CachedAttention is attention with sizes and jobs prepared, so that a pass
// allocates nothing. It does one pass at a time.
type CachedAttention[T Float] struct {
	c    CachedHeads
	pass CachedPass[T]
	past int // tokens in the cache before the pass
	run  func(lo, hi int)
}

// CachedPass holds the operands of one pass.
type CachedPass[T Float] struct {
	Y            []T // (B, N, H·V), written
	Scores       []T // scratch (B, H, QueryRows, M)
	Q, K, V      []T // of the new tokens
	Keys, Values []T // the cache, written in rows past, …, past+N−1
	Past         T   // tokens in the cache
	Mask         []T // (B, M), added to the scores of cached tokens; may be nil
}

// NewCachedAttention prepares attention of the given sizes.
func NewCachedAttention[T Float](c CachedHeads) *CachedAttention[T] {
	a := &CachedAttention[T]{c: c}
	a.run = a.heads
	return a
}

// Pass adds the keys and values of N tokens to the cache and writes what their
// queries find there: query i attends to the first max(past+i+1, Prefix)
// tokens, and the work is proportional to their number, not to M. A query whose
// mask leaves nothing gives 0. It panics with an error unless Past is a whole
// number in [0, M−N].
func (a *CachedAttention[T]) Pass(p CachedPass[T]) {
	c := a.c
	if !(p.Past >= 0 && p.Past <= T(c.M-c.N)) || p.Past != T(int(p.Past)) {
		panic(fmt.Errorf("%v past and %d new tokens do not fit a cache of %d", p.Past, c.N, c.M))
	}
	a.pass, a.past = p, int(p.Past)
	cost := c.N * (a.past + c.N) * (2*c.K + 2*c.V + softmaxCost)
	Chunks(c.B*c.H, cost, a.run)
	a.pass = CachedPass[T]{} // keeps no tensors alive
}

// heads runs the heads lo, …, hi−1 of all examples.
func (a *CachedAttention[T]) heads(lo, hi int) {
	c, p := a.c, &a.pass
	wideK, wideV := c.H*c.K, c.H*c.V
	for i := lo; i < hi; i++ {
		b, h := i/c.H, i%c.H
		keys, values := p.Keys[i*c.M*c.K:(i+1)*c.M*c.K], p.Values[i*c.M*c.V:(i+1)*c.M*c.V]
		for n := range c.N {
			copy(keys[(a.past+n)*c.K:][:c.K], p.K[(b*c.N+n)*wideK+h*c.K:])
			copy(values[(a.past+n)*c.V:][:c.V], p.V[(b*c.N+n)*wideV+h*c.V:])
		}
		var mask []T
		if p.Mask != nil {
			mask = p.Mask[b*c.M : (b+1)*c.M]
		}
		rows := c.QueryRows()
		scores := p.Scores[i*rows*c.M : (i+1)*rows*c.M]
		for n := 0; n < c.N; n += rows {
			m := min(rows, c.N-n)
			q, y := p.Q[(b*c.N+n)*wideK+h*c.K:], p.Y[(b*c.N+n)*wideV+h*c.V:]
			if m == 1 {
				seen := a.seen(n)
				w := scores[:seen]
				matVec(w, keys, q[:c.K], T(c.Scale))
				softmax(w, w, upTo(mask, seen))
				vecMat(y[:c.V], w, values)
				continue
			}
			wide := a.seen(n + m - 1)
			matMul(false, true, m, wide, c.K, T(c.Scale), q, wideK, keys, c.K, 0, scores, wide)
			for r := range m {
				w, seen := scores[r*wide:(r+1)*wide], a.seen(n+r)
				softmax(w[:seen], w[:seen], upTo(mask, seen))
				clear(w[seen:])
			}
			matMul(false, false, m, c.V, wide, 1, scores, wide, values, c.V, 0, y, wideV)
		}
	}
}

// seen is how many tokens query n of the pass attends to.
func (a *CachedAttention[T]) seen(n int) int { return max(a.past+n+1, min(a.c.Prefix, a.past+a.c.N)) }

// upTo is the first n elements of a mask that may be nil.
func upTo[T Float](mask []T, n int) []T {
	if mask == nil {
		return nil
	}
	return mask[:n]
}

// matVec sets y = alpha · A x for a row-major A (len(y), len(x)).
func matVec[T Float](y, a, x []T, alpha T) {
	n := len(x)
	for i := range y {
		row := a[i*n : (i+1)*n]
		var s0, s1, s2, s3 T
		j := 0
		for ; j+4 <= n; j += 4 {
			r, v := row[j:j+4:j+4], x[j:j+4:j+4]
			s0 += r[0] * v[0]
			s1 += r[1] * v[1]
			s2 += r[2] * v[2]
			s3 += r[3] * v[3]
		}
		for ; j < n; j++ {
			s0 += row[j] * x[j]
		}
		y[i] = alpha * ((s0 + s2) + (s1 + s3))
	}
}

// vecMat sets y = w A for a row-major A (len(w), len(y)).
func vecMat[T Float](y, w, a []T) {
	clear(y)
	n := len(y)
	for i, s := range w {
		row := a[i*n : (i+1)*n]
		for j := range y {
			y[j] += s * row[j]
		}
	}
}
