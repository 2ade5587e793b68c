package bpe

import (
	"container/heap"
	"math"
)

// A pair is two neighbouring symbols, by id.
type pair struct{ left, right int32 }

// A merge joins a pair. Pairs of lower rank are joined first.
type merge struct {
	rank int32
	id   int32 // of the joined symbol
}

// unmergeable is the rank of a pair that no merge joins.
const unmergeable = math.MaxInt32

type merges map[pair]merge

func (m merges) find(left, right int32) merge {
	if found, ok := m[pair{left, right}]; ok {
		return found
	}
	return merge{rank: unmergeable}
}

// shortWord is the length up to which rescanning a word beats a heap.
const shortWord = 48

// apply merges the symbols of a word in place and returns what is left of it.
//
// Each round takes the pair of the lowest rank and joins its occurrences from
// left to right; pairs that come about wait for the next round, as in the
// published implementations. (It matters where a symbol can be made in two
// ways: then a new pair may rank lower than the one being joined.)
func (m merges) apply(ids []int32) []int32 {
	if len(ids) <= shortWord {
		return m.applyShort(ids)
	}
	return m.applyLong(ids)
}

// applyShort takes O(n²) steps for n ≤ shortWord symbols.
func (m merges) applyShort(ids []int32) []int32 {
	var buffer [shortWord]merge
	links := buffer[:0] // links[i] joins ids[i] and ids[i+1]
	for i := range len(ids) - 1 {
		links = append(links, m.find(ids[i], ids[i+1]))
	}
	for {
		lowest := int32(unmergeable)
		for _, l := range links {
			lowest = min(lowest, l.rank)
		}
		if lowest == unmergeable {
			return ids
		}
		// A rank belongs to one pair, and no new pair is that pair: its symbols
		// are longer. So links may be updated on the way.
		for i := 0; i < len(links); i++ {
			if links[i].rank != lowest {
				continue
			}
			ids[i] = links[i].id
			ids = append(ids[:i+1], ids[i+2:]...)
			links = append(links[:i], links[i+1:]...)
			if i > 0 {
				links[i-1] = m.find(ids[i-1], ids[i])
			}
			if i < len(links) {
				links[i] = m.find(ids[i], ids[i+1])
			}
		}
	}
}

// applyLong takes O(n log n) steps: one long run of letters must not stall a
// server.
func (m merges) applyLong(ids []int32) []int32 {
	n := len(ids)
	w := &word{ids: ids, next: make([]int, n), prev: make([]int, n)}
	for i := range n {
		w.prev[i], w.next[i] = i-1, i+1
	}
	q := make(candidates, 0, n)
	for i := range n - 1 {
		if found := m.find(ids[i], ids[i+1]); found.rank != unmergeable {
			q = append(q, candidate{found, i})
		}
	}
	heap.Init(&q)
	var fresh []candidate
	for len(q) > 0 {
		lowest := q[0].rank
		for len(q) > 0 && q[0].rank == lowest {
			c := heap.Pop(&q).(candidate)
			if !w.has(m, c) {
				continue // one of its symbols has been joined to another
			}
			w.join(c)
			for _, i := range [2]int{w.prev[c.at], c.at} {
				if i >= 0 && w.next[i] < n {
					if found := m.find(w.ids[i], w.ids[w.next[i]]); found.rank != unmergeable {
						fresh = append(fresh, candidate{found, i})
					}
				}
			}
		}
		for _, c := range fresh {
			heap.Push(&q, c)
		}
		fresh = fresh[:0]
	}
	kept := 0
	for i := 0; i < n; i = w.next[i] {
		ids[kept] = ids[i] // kept ≤ i: nothing unread is overwritten
		kept++
	}
	return ids[:kept]
}

// A word is a list of symbols linked by position; a joined symbol stays at its
// left part's.
type word struct {
	ids        []int32
	next, prev []int
}

// gone is the next position of a symbol that was joined to its left neighbour.
const gone = -1

// has tells whether the candidate's pair is still there.
func (w *word) has(m merges, c candidate) bool {
	next := w.next[c.at]
	return next != gone && next < len(w.ids) && m.find(w.ids[c.at], w.ids[next]).rank == c.rank
}

func (w *word) join(c candidate) {
	right := w.next[c.at]
	after := w.next[right]
	w.ids[c.at] = c.id
	w.next[c.at], w.next[right] = after, gone
	if after < len(w.ids) {
		w.prev[after] = c.at
	}
}

// A candidate is a merge that may be made at a position.
type candidate struct {
	merge
	at int
}

// candidates is a heap by rank, then position.
type candidates []candidate

func (q candidates) Len() int { return len(q) }
func (q candidates) Less(i, j int) bool {
	if q[i].rank != q[j].rank {
		return q[i].rank < q[j].rank
	}
	return q[i].at < q[j].at
}
func (q candidates) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *candidates) Push(x any)   { *q = append(*q, x.(candidate)) }
func (q *candidates) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
