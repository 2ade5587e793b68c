package search

import (
	"math"
	"slices"
	"strings"

	"tessera/graph/kernel"
)

// DefaultFusion is what a query without a Fusion uses.
const DefaultFusion = Centred

// rankOffset is k of reciprocal rank fusion as its authors chose it.
const rankOffset = 60

// A find is an item that a search came upon.
type find struct {
	slot   int32
	score  float64
	cosine map[Modality]float64
}

// side is one modality of a search. The score of a vector x is
// (q·x − shift) · scale, divided by the length of x − mean if there is a mean.
type side struct {
	kind         Modality
	m            *matrix
	q            []float32
	shift, scale float64
	mean         []float64
	lengths      []float32 // inverse, by slot
	scores       []float32 // q·x and then the score, by slot
}

// vectorsOf returns the vectors of slots that have one.
type vectorsOf func(m *matrix, slots []int32) ([][]float32, error)

// search ranks the items. Of what the matrices find, it fetches the vectors to
// compute scores in double precision.
func (t *table) search(q Query, fetch vectorsOf) ([]find, error) {
	cosine, err := q.Vector()
	if err != nil {
		return nil, err
	}
	fusion := q.Fusion
	if fusion == "" {
		fusion = DefaultFusion
	}
	if q.In != Either {
		fusion = Raw // nothing to join
	}
	var sides []*side
	for _, s := range []*side{{kind: Images, m: t.images}, {kind: Texts, m: t.texts}} {
		if q.In == Either || q.In == s.kind {
			s.scale, s.q = 1, cosine
			sides = append(sides, s)
		}
	}
	if fusion == Centred {
		t.centre(sides, q)
	}
	pass := t.mask(q.Filter)
	for _, s := range sides {
		s.scores = t.buffer()
		defer t.release(s.scores)
		s.m.scan(s.scores, s.q)
		if fusion == Standardized {
			s.standardize()
		}
		t.finish(s, pass)
	}
	var finds []find
	if fusion == Reciprocal {
		finds, err = t.reciprocal(sides, q.K, cosine, fetch)
	} else {
		finds, err = t.mean(sides, q.K, cosine, fetch)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(finds, func(a, b find) int {
		if a.score != b.score {
			if a.score > b.score {
				return -1
			}
			return 1
		}
		return strings.Compare(t.ids[a.slot], t.ids[b.slot])
	})
	finds = finds[:min(q.K, len(finds))]
	if q.MinScore != nil {
		finds = slices.DeleteFunc(finds, func(f find) bool { return f.score < *q.MinScore })
	}
	return finds, nil
}

// centre takes the mean of each modality from terms and vectors.
func (t *table) centre(sides []*side, q Query) {
	sum := q.sum(map[Modality][]float64{Images: t.images.mean(), Texts: t.texts.mean()})
	normalize(sum) // nothing left: all scores are 0
	for _, s := range sides {
		s.q = narrow(sum)
		if s.mean = s.m.mean(); s.mean != nil {
			s.shift = product(s.mean, s.q)
			s.lengths = s.m.lengths(len(t.rows))
		}
	}
}

// standardize sets shift and scale by mean and deviation of the products. Sums
// are of integers, so that they do not depend on the order of slots.
func (s *side) standardize() {
	if s.m.count == 0 {
		return
	}
	const fixed = 1 << 34
	s.shift = product(s.m.mean(), s.q)
	parts := make([]int64, len(s.scores)/chunkRows)
	kernel.Parallel(len(parts), func(p int) {
		for i := p * chunkRows; i < (p+1)*chunkRows; i++ {
			if s.m.has(i) {
				d := float64(s.scores[i]) - s.shift
				parts[p] += int64(math.RoundToEven(d * d * fixed))
			}
		}
	})
	var sum int64
	for _, v := range parts {
		sum += v
	}
	s.scale = 0
	if dev := math.Sqrt(float64(sum) / fixed / float64(s.m.count)); dev > vanishing {
		s.scale = 1 / dev
	}
}

// finish turns the products of a side into scores.
func (t *table) finish(s *side, pass []bool) {
	shift, scale := float32(s.shift), float32(s.scale)
	kernel.Parallel(len(s.scores)/chunkRows, func(p int) {
		for i := p * chunkRows; i < (p+1)*chunkRows; i++ {
			switch {
			case !s.m.has(i) || pass != nil && !pass[i]:
				s.scores[i] = outside
			case s.lengths != nil:
				s.scores[i] = (s.scores[i] - shift) * scale * s.lengths[i]
			default:
				s.scores[i] = (s.scores[i] - shift) * scale
			}
		}
	})
}

// exact is the score of a vector in double precision.
func (s *side) exact(x []float32) float64 {
	score := (product(x, s.q) - s.shift) * s.scale
	if s.mean == nil {
		return score
	}
	var sum float64
	for i, v := range x {
		d := float64(v) - s.mean[i]
		sum += d * d
	}
	if length := math.Sqrt(sum); length > vanishing {
		return score / length
	}
	return 0
}

// candidates is how many slots are scored again for k hits.
func (s *side) candidates(k int) int {
	if s.m.int8 {
		return 4*k + 64
	}
	return k + 16 // near ties
}

// mean finds the items with the best means of the scores they have.
func (t *table) mean(sides []*side, k int, cosine []float32, fetch vectorsOf) ([]find, error) {
	scores := sides[0].scores
	if len(sides) == 2 {
		a, b := sides[0].scores, sides[1].scores
		scores = t.buffer()
		defer t.release(scores)
		kernel.Chunks(len(scores), 2, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				switch {
				case a[i] == outside:
					scores[i] = b[i]
				case b[i] == outside:
					scores[i] = a[i]
				default:
					scores[i] = (a[i] + b[i]) / 2
				}
			}
		})
	}
	finds, exact, err := t.again(sides, t.best(scores, sides[0].candidates(k)), cosine, fetch)
	for i := range finds {
		f := &finds[i]
		n := 0.
		for j, s := range sides {
			if s.scores[f.slot] != outside {
				f.score += exact[j][i]
				n++
			}
		}
		f.score /= n
	}
	return finds, err
}

// again computes cosines and, by side, scores of slots from their vectors.
func (t *table) again(sides []*side, slots []int32, cosine []float32, fetch vectorsOf) (finds []find, exact [][]float64, err error) {
	finds = make([]find, len(slots))
	at := make(map[int32]int, len(slots))
	for i, slot := range slots {
		finds[i] = find{slot: slot, cosine: make(map[Modality]float64, 2)}
		at[slot] = i
	}
	// A search in one modality reports the cosine of the other as well.
	for _, s := range []*side{{kind: Images, m: t.images}, {kind: Texts, m: t.texts}} {
		scored := false
		for _, o := range sides {
			if o.kind == s.kind {
				s, scored = o, true
			}
		}
		var has []int32
		for _, slot := range slots {
			if s.m.has(int(slot)) {
				has = append(has, slot)
			}
		}
		vectors, err := fetch(s.m, has)
		if err != nil {
			return nil, nil, err
		}
		scores := make([]float64, len(slots))
		for i, slot := range has {
			finds[at[slot]].cosine[s.kind] = product(vectors[i], cosine)
			if scored {
				scores[at[slot]] = s.exact(vectors[i])
			}
		}
		if scored {
			exact = append(exact, scores)
		}
	}
	return finds, exact, nil
}

// reciprocal finds the items with the greatest sums of 1/(60 + rank).
func (t *table) reciprocal(sides []*side, k int, cosine []float32, fetch vectorsOf) ([]find, error) {
	// The k-th best of one modality has at least 1/(60+k). An item beyond depth
	// in both has at most 2/(60+depth+1), which is less.
	depth := rankOffset + 2*k
	var union []int32
	for _, s := range sides {
		slots := t.best(s.scores, depth)
		if s.m.int8 {
			slots = t.best(s.scores, s.candidates(depth))
			_, exact, err := t.again([]*side{s}, slots, cosine, fetch)
			if err != nil {
				return nil, err
			}
			for i, slot := range slots {
				s.scores[slot] = float32(exact[0][i])
			}
			t.sort(s.scores, slots)
		}
		union = append(union, slots[:min(depth, len(slots))]...)
	}
	slices.Sort(union)
	union = slices.Compact(union)
	sums := make(map[int32]float64, len(union))
	for _, s := range sides {
		var has []int32
		for _, slot := range union {
			if s.scores[slot] != outside {
				has = append(has, slot)
			}
		}
		t.sort(s.scores, has)
		for i, rank := range t.ranks(s.scores, has) {
			sums[has[i]] += 1 / float64(rankOffset+rank)
		}
	}
	finds, _, err := t.again(nil, union, cosine, fetch)
	for i := range finds {
		finds[i].score = sums[finds[i].slot]
	}
	return finds, err
}
