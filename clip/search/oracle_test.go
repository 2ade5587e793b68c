package search

import (
	"cmp"
	"math"
	"slices"

	"tessera/clip/search/internal/score"
)

// oracle is an index without any art: every score from its definition.
type oracle map[string]Item

type answer struct {
	id    string
	score float64
}

func (o oracle) search(q Query) []answer {
	means := map[Modality][]float64{}
	for _, m := range []Modality{Images, Texts} {
		var sum []float64
		n := 0.
		for _, it := range o {
			if v := it.vector(m); v != nil {
				if sum == nil {
					sum = make([]float64, len(v))
				}
				for i, x := range v {
					sum[i] += float64(x)
				}
				n++
			}
		}
		for i := range sum {
			sum[i] /= n
			if q.Fusion == Centred || q.Fusion == "" && DefaultFusion == Centred {
				sum[i] *= n / (n + 16)
			}
		}
		means[m] = sum
	}
	unit := func(x []float64) []float64 {
		n := math.Sqrt(score.Product(x, x))
		y := slices.Clone(x)
		for i := range y {
			if y[i] /= n; n < 1e-5 {
				y[i] = 0
			}
		}
		return y
	}
	fusion := q.Fusion
	if fusion == "" {
		fusion = DefaultFusion
	}
	kinds := []Modality{Images, Texts}
	if q.In != Either {
		kinds, fusion = []Modality{q.In}, Raw
	}
	less := func(v []float32, mean []float64) []float64 {
		y := make([]float64, len(v))
		for i, x := range v {
			y[i] = float64(x)
			if fusion == Centred && mean != nil {
				y[i] -= mean[i]
			}
		}
		return y
	}
	query := make([]float64, len(q.Terms[0].Vector))
	for _, t := range q.Terms {
		for i, x := range less(t.Vector, means[t.Kind]) {
			query[i] += t.Weight * x
		}
	}
	query = unit(query)
	scores := map[string][]float64{}
	for _, m := range kinds {
		var all []answer
		for id, it := range o {
			if v := it.vector(m); v != nil {
				all = append(all, answer{id, score.Product(unit(less(v, means[m])), query)})
			}
		}
		var mean, dev float64
		for _, a := range all {
			mean += a.score / float64(len(all))
		}
		for _, a := range all {
			dev += (a.score - mean) * (a.score - mean) / float64(len(all))
		}
		all = slices.DeleteFunc(all, func(a answer) bool { return !q.Filter.Match(o[a.id].Meta) })
		order(all)
		for rank, a := range all {
			switch fusion {
			case Standardized:
				a.score = (a.score - mean) / math.Sqrt(dev)
			case Reciprocal:
				a.score = 1 / float64(60+rank+1)
			}
			scores[a.id] = append(scores[a.id], a.score)
		}
	}
	var found []answer
	for id, s := range scores {
		sum := 0.
		for _, v := range s {
			sum += v
		}
		if fusion != Reciprocal {
			sum /= float64(len(s))
		}
		if q.MinScore == nil || sum >= *q.MinScore {
			found = append(found, answer{id, sum})
		}
	}
	order(found)
	return found[:min(q.K, len(found))]
}

func order(a []answer) {
	slices.SortFunc(a, func(a, b answer) int {
		// Sums in another order differ in the last bits.
		if math.Abs(a.score-b.score) > 1e-9 {
			return cmp.Compare(b.score, a.score)
		}
		return cmp.Compare(a.id, b.id)
	})
}

func (it Item) vector(m Modality) []float32 {
	if m == Images {
		return it.ImageVector
	}
	return it.TextVector
}
