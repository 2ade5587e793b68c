package sample

// heap is a binary heap of candidates, the most probable first and of equally
// probable ones that of the smallest number. Few of many candidates are taken,
// so sorting all would cost more.
type heap []candidate

func (h heap) before(i, j int) bool {
	if h[i].weight != h[j].weight {
		return h[i].weight > h[j].weight
	}
	return h[i].id < h[j].id
}

func (h heap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// pop removes the first candidate.
func (h *heap) pop() candidate {
	last := len(*h) - 1
	first := (*h)[0]
	(*h)[0] = (*h)[last]
	*h = (*h)[:last]
	h.down(0)
	return first
}

// down moves candidate i behind those that come before it.
func (h heap) down(i int) {
	for {
		next := 2*i + 1
		if next >= len(h) {
			return
		}
		if next+1 < len(h) && h.before(next+1, next) {
			next++
		}
		if !h.before(next, i) {
			return
		}
		h[i], h[next] = h[next], h[i]
		i = next
	}
}
