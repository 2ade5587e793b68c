package op

import (
	"cmp"
	"slices"
)

// plan places results in one piece of memory, such that those in use at the
// same time do not overlap. Sizes are numbers of elements.
type plan struct {
	spans   []*span // in order of time
	of      map[output]*span
	results int // sum of sizes
	total   int // size of the memory
}

// span is one result: when it is in use and where it lies.
type span struct {
	size, first, last int
	offset            int
}

// alignment is that of results, in elements: a line of the cache.
const alignment = 16

func (p *plan) add(o output, size, first, last int) {
	if p.of == nil {
		p.of = map[output]*span{}
	}
	s := &span{size: size, first: first, last: last}
	p.spans, p.of[o] = append(p.spans, s), s
	p.results += size
}

// place assigns offsets, the largest results first, each to the smallest gap
// it fits into between those placed before that are in use with it.
func (p *plan) place() {
	order := slices.Clone(p.spans)
	slices.SortStableFunc(order, func(a, b *span) int { return cmp.Compare(b.size, a.size) })
	var placed []*span // by offset
	for _, s := range order {
		end, best, room := 0, -1, 0
		for _, o := range placed {
			if o.first > s.last || o.last < s.first {
				continue
			}
			if gap := o.offset - end; gap >= s.size && (best < 0 || gap < room) {
				best, room = end, gap
			}
			end = max(end, o.offset+up(o.size))
		}
		if best < 0 {
			best = end
		}
		s.offset = best
		p.total = max(p.total, best+up(s.size))
		at, _ := slices.BinarySearchFunc(placed, s, func(a, b *span) int { return cmp.Compare(a.offset, b.offset) })
		placed = slices.Insert(placed, at, s)
	}
}

func up(n int) int { return (n + alignment - 1) / alignment * alignment }

// live is the most elements in use at one of the given number of times.
func (p *plan) live(times int) int {
	change := make([]int, times+2)
	for _, s := range p.spans {
		change[s.first] += s.size
		change[s.last+1] -= s.size
	}
	most, now := 0, 0
	for _, c := range change {
		now += c
		most = max(most, now)
	}
	return most
}
