package bpe

import (
	"container/heap"
	"iter"
	"maps"
	"slices"

	"github.com/pkg/errors"
)

// Train makes a tokenizer of at most size tokens from texts, CLIP's kind with
// the given cleaning or, where that is empty, GPT-2's (arXiv:1508.07909): the
// pair of symbols that is most frequent in the texts' words is joined to a new
// one, again and again, until there are size tokens or no pair occurs twice. Of
// equally frequent pairs the one of the lowest ids goes first, so the same
// words give the same tokenizer in any order.
func Train(texts iter.Seq[string], size int, c Cleaning) (*Tokenizer, error) {
	a := newAlphabet()
	t := &trainer{
		ids: map[string]int{}, joined: map[pair]bool{},
		counts: map[pair]int{}, places: map[pair][]int{},
	}
	for _, b := range a.sorted {
		t.token(a.symbol(b))
	}
	special := []string{endOfText}
	if c != "" {
		for _, b := range a.sorted {
			t.token(a.symbol(b) + wordEnd)
		}
		special = []string{startOfText, endOfText}
	}
	limit := size - len(special)
	if limit < len(t.tokens) {
		return nil, errors.Errorf("bpe: a vocabulary of %d tokens is too small: the bytes take %d and special tokens %d",
			size, len(t.tokens), len(special))
	}
	t.count(words(texts, c), a, c != "")
	for len(t.tokens) < limit && t.join() {
	}
	for _, s := range special {
		t.token(s)
	}
	if c != "" {
		return CLIP(t.ids, t.merges, c)
	}
	return GPT2(t.ids, t.merges)
}

// words counts the words of texts.
func words(texts iter.Seq[string], c Cleaning) map[string]int {
	counts := map[string]int{}
	count := func(word string) { counts[word]++ }
	for text := range texts {
		if c == "" {
			splitGPT2(text, count)
		} else {
			splitCLIP(c.apply(text), c == OpenAI, count)
		}
	}
	return counts
}

// A trainer holds the words of its texts as they are split so far.
type trainer struct {
	tokens []string
	ids    map[string]int
	merges [][2]string
	joined map[pair]bool

	words  []trainingWord
	counts map[pair]int   // how often a pair occurs
	places map[pair][]int // the words it may occur in, some of them repeated
	queue  frequencies    // of all pairs; those that became rarer stand too high
}

type trainingWord struct {
	symbols []int32
	count   int
}

// token returns the id of a token, a new one if need be.
func (t *trainer) token(s string) int {
	id, ok := t.ids[s]
	if !ok {
		id = len(t.tokens)
		t.ids[s] = id
		t.tokens = append(t.tokens, s)
	}
	return id
}

// count splits the words into bytes and counts their pairs.
func (t *trainer) count(counts map[string]int, a *alphabet, marked bool) {
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		w := trainingWord{count: counts[word]}
		for i := range len(word) {
			symbol := a.symbol(word[i])
			if marked && i == len(word)-1 {
				symbol += wordEnd
			}
			w.symbols = append(w.symbols, int32(t.ids[symbol]))
		}
		t.words = append(t.words, w)
		for p := range w.pairs() {
			t.counts[p] += w.count
			t.places[p] = append(t.places[p], len(t.words)-1)
		}
	}
	for p, n := range t.counts {
		t.queue = append(t.queue, frequency{p, n})
	}
	heap.Init(&t.queue)
}

// pairs yields the neighbours in w, overlapping ones as well.
func (w trainingWord) pairs() iter.Seq[pair] {
	return func(yield func(pair) bool) {
		for i := range len(w.symbols) - 1 {
			if !yield(pair{w.symbols[i], w.symbols[i+1]}) {
				return
			}
		}
	}
}

// join makes the next merge; it reports false if none is left to make.
func (t *trainer) join() bool {
	best, ok := t.mostFrequent()
	if !ok {
		return false
	}
	left, right := t.tokens[best.left], t.tokens[best.right]
	if !t.joined[best] {
		t.joined[best] = true
		t.merges = append(t.merges, [2]string{left, right})
	}
	// The token may be there already, made of other parts; then the pair itself
	// may come about again.
	id := int32(t.token(left + right))

	fresh := map[pair]bool{}
	places := t.places[best]
	delete(t.places, best)
	slices.Sort(places)
	for _, i := range slices.Compact(places) {
		w := &t.words[i]
		for p := range w.pairs() {
			t.counts[p] -= w.count
		}
		w.replace(best, id)
		for p := range w.pairs() {
			t.counts[p] += w.count
			if p.left == id || p.right == id {
				t.places[p] = append(t.places[p], i)
				fresh[p] = true
			}
		}
	}
	delete(t.counts, best)
	for p := range fresh {
		heap.Push(&t.queue, frequency{p, t.counts[p]})
	}
	return true
}

// mostFrequent takes the most frequent pair, one that occurs twice at least.
func (t *trainer) mostFrequent() (pair, bool) {
	for len(t.queue) > 0 {
		top := heap.Pop(&t.queue).(frequency)
		now := t.counts[top.pair]
		switch {
		case now < 2: // for now: it may come back
		case now == top.count:
			return top.pair, true
		default: // it became rarer
			heap.Push(&t.queue, frequency{top.pair, now})
		}
	}
	return pair{}, false
}

// replace joins the pair from left to right.
func (w *trainingWord) replace(p pair, id int32) {
	kept := w.symbols[:0]
	for i := 0; i < len(w.symbols); i++ {
		if i+1 < len(w.symbols) && w.symbols[i] == p.left && w.symbols[i+1] == p.right {
			kept = append(kept, id)
			i++
			continue
		}
		kept = append(kept, w.symbols[i])
	}
	w.symbols = kept
}

// A frequency is how often a pair occurred.
type frequency struct {
	pair
	count int
}

// frequencies is a heap, the most frequent pair first, then the lowest ids.
type frequencies []frequency

func (q frequencies) Len() int { return len(q) }
func (q frequencies) Less(i, j int) bool {
	a, b := q[i], q[j]
	switch {
	case a.count != b.count:
		return a.count > b.count
	case a.left != b.left:
		return a.left < b.left
	}
	return a.right < b.right
}
func (q frequencies) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *frequencies) Push(x any)   { *q = append(*q, x.(frequency)) }
func (q *frequencies) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
