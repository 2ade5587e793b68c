package weaviate

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"tessera/clip/search"
)

// rankOffset is k of reciprocal rank fusion, see search.Reciprocal.
const rankOffset = 60

// vanishing is the length below which the direction of a vector is noise.
const vanishing = 1e-5

// A side is one modality of a search. The score of a vector x is
// (query·x − shift) · scale, divided by the length of x − mean if there is a
// mean.
type side struct {
	kind         search.Modality
	query        []float32
	shift, scale float64
	mean         []float64
}

type scoring struct {
	cosine []float32 // the query itself
	sides  []side
}

func (s *side) score(x []float32) float64 {
	score := (product(x, s.query) - s.shift) * s.scale
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

// vector is the item's in a modality, nil for none.
func vector(it search.Item, kind search.Modality) []float32 {
	if kind == search.Images {
		return it.ImageVector
	}
	return it.TextVector
}

// hits ranks the items.
func (s *scoring) hits(items []search.Item, q search.Query) []search.Hit {
	sum, n := make([]float64, len(items)), make([]float64, len(items))
	for _, m := range s.sides {
		var has []int
		score := make([]float64, len(items))
		for i, it := range items {
			if v := vector(it, m.kind); v != nil {
				has, score[i] = append(has, i), m.score(v)
			}
		}
		if q.Fusion == search.Reciprocal {
			// Items come by ID, which settles ties.
			slices.SortStableFunc(has, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
			for rank, i := range has {
				score[i] = 1 / float64(rankOffset+rank+1)
			}
		}
		for _, i := range has {
			sum[i] += score[i]
			n[i]++
		}
	}
	hits := make([]search.Hit, 0, len(items))
	for i, it := range items {
		h := search.Hit{Item: it, Score: sum[i]}
		if q.Fusion != search.Reciprocal {
			h.Score /= n[i]
		}
		h.ImageCosine, h.TextCosine = s.cosineWith(it.ImageVector), s.cosineWith(it.TextVector)
		h.ImageVector, h.TextVector = nil, nil
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b search.Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.ID, b.ID))
	})
	hits = hits[:min(q.K, len(hits))]
	if q.MinScore != nil {
		hits = slices.DeleteFunc(hits, func(h search.Hit) bool { return h.Score < *q.MinScore })
	}
	return hits
}

func (s *scoring) cosineWith(x []float32) *float64 {
	if x == nil {
		return nil
	}
	c := product(x, s.cosine)
	return &c
}

func product[B float32 | float64](a []float32, b []B) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}
