package search

import (
	"math"
	"slices"
	"sync"

	"tessera/graph/kernel"
)

// table is what a search looks at: the items by slot. A slot that is given up
// is used again.
type table struct {
	images, texts *matrix
	ids           []string
	rows          []int64 // of the file; 0: the slot is empty
	fields        [][]field
	slots         map[string]int32
	free          []int32
	buffers       sync.Pool // *[]float32
}

func newTable(dim int, p Precision) *table {
	return &table{images: newMatrix(dim, p), texts: newMatrix(dim, p), slots: map[string]int32{}}
}

// add gives an item a slot. The ID must be new.
func (t *table) add(row int64, it Item, fields []field) {
	slot := int32(len(t.rows))
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.ids, t.rows, t.fields = append(t.ids, ""), append(t.rows, 0), append(t.fields, nil)
	}
	t.ids[slot], t.rows[slot], t.fields[slot], t.slots[it.ID] = it.ID, row, fields, slot
	if it.ImageVector != nil {
		t.images.set(int(slot), it.ImageVector)
	}
	if it.TextVector != nil {
		t.texts.set(int(slot), it.TextVector)
	}
}

// remove empties the slot of an item with these vectors.
func (t *table) remove(id string, image, text []float32) {
	slot := t.slots[id]
	delete(t.slots, id)
	t.ids[slot], t.rows[slot], t.fields[slot] = "", 0, nil
	t.free = append(t.free, slot)
	if image != nil {
		t.images.unset(int(slot), image)
	}
	if text != nil {
		t.texts.unset(int(slot), text)
	}
}

// buffer returns a number for every slot, in whole chunks. Give it back with
// release.
func (t *table) buffer() []float32 {
	n := (len(t.rows) + chunkRows - 1) / chunkRows * chunkRows
	if p, ok := t.buffers.Get().(*[]float32); ok && cap(*p) >= n {
		return (*p)[:n]
	}
	return make([]float32, n)
}

func (t *table) release(b []float32) { t.buffers.Put(&b) }

// outside marks slots that are not looked at.
var outside = float32(math.Inf(-1))

// mask returns which slots pass the filter, nil for all.
func (t *table) mask(f Filter) []bool {
	if len(f) == 0 {
		return nil
	}
	pass := make([]bool, len(t.rows))
	kernel.Chunks(len(pass), 64*len(f), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			pass[i] = t.rows[i] != 0 && f.matchFields(t.fields[i])
		}
	})
	return pass
}

// before orders slots: the greater score first, then the ID.
func (t *table) before(scores []float32, a, b int32) bool {
	if scores[a] != scores[b] {
		return scores[a] > scores[b]
	}
	return t.ids[a] < t.ids[b]
}

func (t *table) sort(scores []float32, slots []int32) {
	slices.SortFunc(slots, func(a, b int32) int {
		switch {
		case a == b:
			return 0
		case t.before(scores, a, b):
			return -1
		}
		return 1
	})
}

// best returns the k slots of the greatest scores, the best first.
func (t *table) best(scores []float32, k int) []int32 {
	const part = 16 * chunkRows
	parts := make([][]int32, (len(t.rows)+part-1)/part)
	kernel.Parallel(len(parts), func(p int) {
		heap := make([]int32, 0, min(k, part)) // the worst of the best on top
		for i := int32(p * part); i < int32(min(len(t.rows), (p+1)*part)); i++ {
			switch {
			case scores[i] == outside:
			case len(heap) < k:
				heap = append(heap, i)
				t.up(scores, heap)
			case scores[i] >= scores[heap[0]] && t.before(scores, i, heap[0]):
				heap[0] = i
				t.down(scores, heap)
			}
		}
		parts[p] = heap
	})
	all := slices.Concat(parts...)
	t.sort(scores, all)
	return all[:min(k, len(all))]
}

// up moves the last element of a heap to its place.
func (t *table) up(scores []float32, heap []int32) {
	for i := len(heap) - 1; i > 0; {
		above := (i - 1) / 2
		if !t.before(scores, heap[above], heap[i]) {
			return
		}
		heap[above], heap[i] = heap[i], heap[above]
		i = above
	}
}

// down moves the first element of a heap to its place.
func (t *table) down(scores []float32, heap []int32) {
	for i := 0; ; {
		worst := 2*i + 1
		if worst >= len(heap) {
			return
		}
		if r := worst + 1; r < len(heap) && t.before(scores, heap[worst], heap[r]) {
			worst = r
		}
		if !t.before(scores, heap[i], heap[worst]) {
			return
		}
		heap[i], heap[worst] = heap[worst], heap[i]
		i = worst
	}
}

// ranks counts for each slot of a list, sorted, how many come before it among
// all, plus 1.
func (t *table) ranks(scores []float32, slots []int32) []int {
	counts := make([]int, len(slots)+1)
	var mu sync.Mutex
	kernel.Chunks(len(t.rows), 1, func(lo, hi int) {
		local := make([]int, len(slots)+1)
		for i := int32(lo); i < int32(hi); i++ {
			if scores[i] == outside {
				continue
			}
			// The first of the list that slot i comes before.
			at, _ := slices.BinarySearchFunc(slots, i, func(e, i int32) int {
				if e == i || t.before(scores, e, i) {
					return -1
				}
				return 1
			})
			local[at]++
		}
		mu.Lock()
		defer mu.Unlock()
		for i, n := range local {
			counts[i] += n
		}
	})
	ranks, sum := make([]int, len(slots)), 1
	for i := range slots {
		sum += counts[i]
		ranks[i] = sum
	}
	return ranks
}
