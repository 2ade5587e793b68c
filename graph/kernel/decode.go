package kernel

import (
	"fmt"

	"tessera/graph/kernel/simd"
)

// CachedHeads describes attention to a cache that holds the keys of past tokens
// as columns, (B, H, K, M), and their values as rows, (B, H, M, V), with room
// for M. N new ones are added by every pass. Queries, new keys and new values
// are laid out as for Heads.
//
// Keys are columns so that a single query multiplies them as many queries
// would: in float32 on simd, a pass gives the bytes of Attention to all tokens
// at once, under the mask that says who sees whom.
type CachedHeads struct {
	Heads
	Prefix int // the first tokens, which all queries see
}

// QueryRows is how many queries of a head are scored together, and so the
// number of rows of scratch that a head needs.
func (c CachedHeads) QueryRows() int { return min(c.N, queryRows) }

// CachedAttention is attention to a cache with sizes and jobs prepared, so that
// a pass allocates nothing. It does one pass at a time.
type CachedAttention[T Float] struct {
	c    CachedHeads
	pass CachedPass[T]
	past []int // (B), tokens in the cache before the pass
	run  func(head int)
}

// CachedPass holds the operands of one pass.
type CachedPass[T Float] struct {
	Y            []T // (B, N, H·V), written
	Scores       []T // scratch (B, H, QueryRows, M)
	Q, K, V      []T // of the new tokens
	Keys, Values []T // the cache, where tokens Past, …, Past+N−1 are written
	Past         []T // tokens in the cache: of each example (B), or of all (1)
	Mask         []T // (B, M), added to the scores of cached tokens; may be nil
}

// NewCachedAttention prepares attention of the given sizes.
func NewCachedAttention[T Float](c CachedHeads) *CachedAttention[T] {
	a := &CachedAttention[T]{c: c, past: make([]int, c.B)}
	a.run = a.head
	return a
}

// Pass adds the keys and values of N tokens to the cache and writes what their
// queries find there: query i attends to the first Past+i+1 tokens, or to
// Prefix if that is more. The work is proportional to that number, not to M. A
// query whose mask leaves nothing gives 0. Pass panics with an error unless
// every Past is a whole number in [0, M−N].
func (a *CachedAttention[T]) Pass(p CachedPass[T]) {
	c := a.c
	most := 0
	for b := range a.past {
		v := p.Past[b%len(p.Past)]
		if !(v >= 0 && v <= T(c.M-c.N)) || v != T(int(v)) {
			panic(fmt.Errorf("%v past and %d new tokens do not fit a cache of %d", v, c.N, c.M))
		}
		a.past[b] = int(v)
		most = max(most, a.past[b])
	}
	a.pass = p
	if heads := c.B * c.H; heads*c.N*(most+c.N)*(c.K+c.V+softmaxCost) < grain {
		for i := range heads {
			a.head(i)
		}
	} else {
		Parallel(heads, a.run)
	}
	a.pass = CachedPass[T]{} // keeps no tensors alive
}

// head runs one head of one example.
func (a *CachedAttention[T]) head(i int) {
	c, p := a.c, &a.pass
	b, h := i/c.H, i%c.H
	past := a.past[b]
	wideK, wideV := c.H*c.K, c.H*c.V
	keys, values := p.Keys[i*c.M*c.K:(i+1)*c.M*c.K], p.Values[i*c.M*c.V:(i+1)*c.M*c.V]
	for n := range c.N {
		for j, v := range p.K[(b*c.N+n)*wideK+h*c.K:][:c.K] {
			keys[j*c.M+past+n] = v
		}
		copy(values[(past+n)*c.V:][:c.V], p.V[(b*c.N+n)*wideV+h*c.V:])
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
			seen := c.seen(past, n)
			w := scores[:seen]
			rowTimes(w, q[:c.K], T(c.Scale), keys, c.M)
			softmax(w, w, upTo(mask, seen))
			rowTimes(y[:c.V], w, 1, values, c.V)
			continue
		}
		wide := c.seen(past, n+m-1)
		matMul(false, false, m, wide, c.K, T(c.Scale), q, wideK, keys, c.M, 0, scores, wide)
		for r := range m {
			w, seen := scores[r*wide:(r+1)*wide], c.seen(past, n+r)
			softmax(w[:seen], w[:seen], upTo(mask, seen))
			clear(w[seen:])
		}
		matMul(false, false, m, c.V, wide, 1, scores, wide, values, c.V, 0, y, wideV)
	}
}

// seen is how many tokens query n of a pass after past ones attends to.
func (c CachedHeads) seen(past, n int) int {
	return max(past+n+1, min(c.Prefix, past+c.N))
}

// upTo is the first n elements of a mask that may be nil.
func upTo[T Float](mask []T, n int) []T {
	if mask == nil {
		return nil
	}
	return mask[:n]
}

// rowTimes sets y = α x A for a row x and A (len(x), len(y)), whose rows are lda
// apart, on one goroutine and allocating nothing.
func rowTimes[T Float](y, x []T, alpha T, a []T, lda int) {
	if len(x) == 0 || !fast[T]() {
		clear(y)
		for i, s := range x {
			s *= alpha
			for j, v := range a[i*lda : i*lda+len(y)] {
				y[j] += s * v
			}
		}
		return
	}
	for l := 0; l < len(x); l += depth {
		k := min(depth, len(x)-l)
		simd.MulRaw(1, len(y), k, float32(alpha), singles(x[l:]), k, 1, singles(a[l*lda:]), lda, l > 0, singles(y), len(y))
	}
}
