package weaviate

import (
	"cmp"
	"slices"
	"strings"

	"tessera/clip/search"
	"tessera/clip/search/internal/score"
)

// A side is one modality of a search.
type side struct {
	score.Side
	kind search.Modality
}

type scoring struct {
	cosine []float32 // the query itself
	sides  []side
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
		scores := make([]float64, len(items))
		for i, it := range items {
			if v := vector(it, m.kind); v != nil {
				has, scores[i] = append(has, i), m.Of(v)
			}
		}
		if q.Fusion == search.Reciprocal {
			// Items come by ID, which settles ties.
			slices.SortStableFunc(has, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
			for rank, i := range has {
				scores[i] = 1 / float64(score.RankOffset+rank+1)
			}
		}
		for _, i := range has {
			sum[i] += scores[i]
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
	c := score.Product(x, s.cosine)
	return &c
}
