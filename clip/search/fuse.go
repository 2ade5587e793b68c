package search

import (
	"math"
	"slices"
	"strings"

	"tessera/clip/search/internal/score"
	"tessera/graph/kernel"
)

// DefaultFusion is what a query without a Fusion uses.
const DefaultFusion = Centred

// A find is an item that a search came upon.
type find struct {
	slot        int32
	score       float64
	image, text *float64 // cosines
}

// side is one modality of a search.
type side struct {
	score.Side
	kind    Modality
	m       *matrix
	lengths []float32 // inverse, by slot
	scores  []float32 // of vectors with the query, and then the score, by slot
}

// vectorsOf returns the vectors of slots that have one.
type vectorsOf func(m *matrix, slots []int32) ([][]float32, error)

// once fetches no vector twice.
func (fetch vectorsOf) once() vectorsOf {
	type place struct {
		m    *matrix
		slot int32
	}
	known := map[place][]float32{}
	return func(m *matrix, slots []int32) ([][]float32, error) {
		var missing []int32
		for _, slot := range slots {
			if known[place{m, slot}] == nil {
				missing = append(missing, slot)
			}
		}
		vectors, err := fetch(m, missing)
		if err != nil {
			return nil, err
		}
		for i, slot := range missing {
			known[place{m, slot}] = vectors[i]
		}
		vectors = make([][]float32, len(slots))
		for i, slot := range slots {
			vectors[i] = known[place{m, slot}]
		}
		return vectors, nil
	}
}

// search ranks the items. Of what the matrices find, it fetches the vectors to
// compute scores in double precision.
func (t *table) search(q Query, fetch vectorsOf) ([]find, error) {
	cosine, err := q.Vector()
	if err != nil {
		return nil, err
	}
	fusion := q.Fuses()
	var sides []*side
	for _, s := range []*side{{kind: Images, m: t.images}, {kind: Texts, m: t.texts}} {
		if q.In == Either || q.In == s.kind {
			s.Scale, s.Query = 1, cosine
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
		s.m.scan(s.scores, s.Query)
		if fusion == Standardized {
			s.standardize()
		}
		t.finish(s, pass)
	}
	fetch = fetch.once()
	var finds []find
	if fusion == Reciprocal {
		finds, err = t.reciprocal(sides, q.K, fetch)
	} else {
		finds, err = t.mean(sides, q.K, fetch)
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
	return finds, t.cosines(finds, cosine, fetch)
}

// cosines adds the cosines of a query with images and texts, looked at or not.
func (t *table) cosines(finds []find, query []float32, fetch vectorsOf) error {
	for _, m := range []*matrix{t.images, t.texts} {
		var has []*find
		var slots []int32
		for i := range finds {
			if f := &finds[i]; m.has(int(f.slot)) {
				has, slots = append(has, f), append(slots, f.slot)
			}
		}
		vectors, err := fetch(m, slots)
		if err != nil {
			return err
		}
		for i, f := range has {
			c := score.Product(vectors[i], query)
			if m == t.images {
				f.image = &c
			} else {
				f.text = &c
			}
		}
	}
	return nil
}

// centre takes the mean of each modality from terms and vectors.
func (t *table) centre(sides []*side, q Query) {
	centres := map[Modality][]float64{Images: t.images.centre(), Texts: t.texts.centre()}
	centred := q.Centred(centres)
	for _, s := range sides {
		s.Query, s.Mean = centred, centres[s.kind]
		if s.Mean != nil {
			s.Shift = score.Product(s.Mean, s.Query)
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
	s.Shift = score.Product(s.m.mean(), s.Query)
	parts := make([]int64, len(s.scores)/chunkRows)
	kernel.Parallel(len(parts), func(p int) {
		for i := p * chunkRows; i < (p+1)*chunkRows; i++ {
			if s.m.has(i) {
				d := float64(s.scores[i]) - s.Shift
				parts[p] += int64(math.RoundToEven(d * d * fixed))
			}
		}
	})
	var sum int64
	for _, v := range parts {
		sum += v
	}
	s.Scale = score.Inverse(math.Sqrt(float64(sum) / fixed / float64(s.m.count)))
}

// finish turns the products of a side into scores.
func (t *table) finish(s *side, pass []bool) {
	shift, scale := float32(s.Shift), float32(s.Scale)
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

// again computes the scores of slots from their vectors: not a number where
// there is none.
func (s *side) again(slots []int32, fetch vectorsOf) ([]float64, error) {
	var has []int32
	for _, slot := range slots {
		if s.scores[slot] != outside {
			has = append(has, slot)
		}
	}
	vectors, err := fetch(s.m, has)
	if err != nil {
		return nil, err
	}
	scores := make([]float64, len(slots))
	for i, slot := range slots {
		scores[i] = math.NaN()
		if len(has) > 0 && has[0] == slot {
			scores[i] = s.Of(vectors[0])
			has, vectors = has[1:], vectors[1:]
		}
	}
	return scores, nil
}

// mean finds the items with the best means of the scores they have.
func (t *table) mean(sides []*side, k int, fetch vectorsOf) ([]find, error) {
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
	candidates := k + 16 // near ties
	if t.images.int8 {
		candidates = 2*k + 32
	}
	slots := t.best(scores, candidates)
	finds, counts := make([]find, len(slots)), make([]float64, len(slots))
	for _, s := range sides {
		exact, err := s.again(slots, fetch)
		if err != nil {
			return nil, err
		}
		for i, v := range exact {
			finds[i].slot = slots[i]
			if !math.IsNaN(v) {
				finds[i].score += v
				counts[i]++
			}
		}
	}
	for i := range finds {
		finds[i].score /= counts[i]
	}
	return finds, nil
}

// reciprocal finds the items with the greatest sums of 1/(60 + rank).
func (t *table) reciprocal(sides []*side, k int, fetch vectorsOf) ([]find, error) {
	// The k-th best of one modality has at least 1/(60+k). An item beyond depth
	// in both has at most 2/(60+depth+1), which is less.
	depth := score.RankOffset + 2*k
	var union []int32
	for _, s := range sides {
		slots := t.best(s.scores, depth)
		if s.m.int8 {
			// The order of the 8 bits is mended as far as it counts.
			slots = t.best(s.scores, depth+32)
			exact, err := s.again(slots, fetch)
			if err != nil {
				return nil, err
			}
			for i, slot := range slots {
				s.scores[slot] = float32(exact[i])
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
			sums[has[i]] += 1 / float64(score.RankOffset+rank)
		}
	}
	finds := make([]find, len(union))
	for i, slot := range union {
		finds[i] = find{slot: slot, score: sums[slot]}
	}
	return finds, nil
}
