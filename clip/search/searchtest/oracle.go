package searchtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"tessera/clip/search"
)

// item makes an item with an image, a text, or both. As in CLIP, images lie
// about one point and texts about another.
func (b *bench) item(id string) search.Item {
	it := search.Item{ID: id}
	has := b.rng.IntN(4) // both in half the cases
	if has != 0 {
		it.Image, it.ImageVector = "images/"+id+".png", b.unit(0, 0.6)
	}
	if has != 1 {
		it.Text, it.TextVector = "a picture of “"+id+"”", b.unit(1, 0.6)
	}
	values := []any{1, -2.5, 3, 1e21, "red", "Red", "", " red", "10", "änder", true, false, nil,
		[]any{"red", 3, true}, []any{[]any{"red"}}, []any{}, map[string]any{"red": 3}, 9007199254740991, 0.1}
	for _, key := range []string{"price", "colour", `odd "key's`} {
		if b.rng.IntN(3) > 0 {
			if it.Meta == nil {
				it.Meta = map[string]any{}
			}
			it.Meta[key] = values[b.rng.IntN(len(values))]
		}
	}
	return it
}

// unit makes a unit vector about axis, the farther the greater spread is.
func (b *bench) unit(axis int, spread float64) []float32 {
	x := make([]float64, b.dim)
	sum := 0.
	for i := range x {
		x[i] = spread * b.rng.NormFloat64() / math.Sqrt(float64(b.dim))
		if i == axis {
			x[i]++
		}
		sum += x[i] * x[i]
	}
	v := make([]float32, b.dim)
	for i := range x {
		v[i] = float32(x[i] / math.Sqrt(sum))
	}
	return v
}

// queries gives queries of all sorts.
func (b *bench) queries() []search.Query {
	text := search.Term{Vector: b.unit(1, 0.6), Kind: search.Texts, Weight: 1}
	image := search.Term{Vector: b.unit(0, 0.6), Kind: search.Images, Weight: 2}
	less := search.Term{Vector: b.unit(1, 0.6), Kind: search.Texts, Weight: -0.5}
	least := 0.2
	var all []search.Query
	for _, terms := range [][]search.Term{{text}, {image, less}} {
		for _, f := range []search.Fusion{"", search.Raw, search.Centred, search.Standardized, search.Reciprocal} {
			all = append(all, search.Query{Terms: terms, Fusion: f, K: 10})
		}
		for _, in := range []search.Modality{search.Images, search.Texts} {
			all = append(all, search.Query{Terms: terms, In: in, K: 100})
		}
	}
	all = append(all,
		search.Query{Terms: []search.Term{text}, Fusion: search.Raw, K: 1},
		search.Query{Terms: []search.Term{text}, Fusion: search.Raw, K: 100, MinScore: &least},
		search.Query{Terms: []search.Term{text}, Fusion: search.Reciprocal, K: 20, Filter: search.Filter{{Key: "price", Op: search.Exists}}})
	for _, key := range []string{"price", `odd "key's`} {
		for _, value := range []any{"red", "", "'; --", 3, 1e21, float32(-2.5), 0.1, true} {
			for _, op := range []search.Op{search.Equal, search.NotEqual, search.Less, search.LessEqual, search.Greater, search.GreaterEqual} {
				c := search.Condition{Key: key, Op: op, Value: value}
				if key != "price" && op != search.Equal || (search.Filter{c}).Validate() != nil {
					continue
				}
				all = append(all, search.Query{Terms: []search.Term{image}, Fusion: search.Raw, K: 30, Filter: search.Filter{c}})
			}
		}
	}
	return append(all, search.Query{Terms: []search.Term{text}, Fusion: search.Standardized, K: 30, Filter: search.Filter{
		{Key: "price", Op: search.NotEqual, Value: "red"}, {Key: "colour", Op: search.Exists}, {Key: "price", Op: search.Greater, Value: -10}}})
}

func describe(q search.Query) string {
	s := fmt.Sprintf("%d terms, in %q, %q, K %d", len(q.Terms), q.In, q.Fusion, q.K)
	for _, c := range q.Filter {
		s += fmt.Sprintf(", %s %s %#v", c.Key, c.Op, c.Value)
	}
	return s
}

// oracle is search.Index.Search as its documentation says it, in float64.
func oracle(all map[string]search.Item, q search.Query) []search.Hit {
	fusion := q.Fusion
	if fusion == "" {
		fusion = search.DefaultFusion
	}
	modalities := []search.Modality{search.Images, search.Texts}
	if q.In != search.Either {
		fusion, modalities = search.Raw, []search.Modality{q.In}
	}
	means, centres := map[search.Modality][]float64{}, map[search.Modality][]float64{}
	for _, m := range []search.Modality{search.Images, search.Texts} {
		var n int
		means[m], n = mean(all, m)
		for _, v := range means[m] {
			centres[m] = append(centres[m], v*float64(n)/float64(n+16))
		}
	}
	cosine, centred := make([]float64, len(q.Terms[0].Vector)), make([]float64, len(q.Terms[0].Vector))
	for _, t := range q.Terms {
		for i, v := range t.Vector {
			cosine[i] += t.Weight * float64(v)
			centred[i] += t.Weight * (float64(v) - centres[t.Kind][i])
		}
	}
	scale(cosine)
	scale(centred)

	scores := map[string][]float64{} // of the items that pass, by modality
	for _, m := range modalities {
		score := func(x []float64) float64 { return dot(x, cosine) }
		switch fusion {
		case search.Centred:
			score = func(x []float64) float64 {
				c := slices.Clone(x)
				for i := range c {
					c[i] -= centres[m][i]
				}
				scale(c)
				return dot(c, centred)
			}
		case search.Standardized:
			var squares, n float64
			shift := dot(means[m], cosine)
			for _, it := range all {
				if x := vector(it, m); x != nil {
					squares, n = squares+(dot(x, cosine)-shift)*(dot(x, cosine)-shift), n+1
				}
			}
			inverse := 0.
			if dev := math.Sqrt(squares / n); dev > 1e-5 {
				inverse = 1 / dev
			}
			score = func(x []float64) float64 { return (dot(x, cosine) - shift) * inverse }
		}
		type found struct {
			id    string
			score float64
		}
		var list []found
		for id, it := range all {
			if x := vector(it, m); x != nil && q.Filter.Match(plain(it.Meta)) {
				list = append(list, found{id, score(x)})
			}
		}
		slices.SortFunc(list, func(a, b found) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
		for rank, f := range list {
			if fusion == search.Reciprocal {
				f.score = 1 / float64(60+rank+1)
			}
			scores[f.id] = append(scores[f.id], f.score)
		}
	}
	var hits []search.Hit
	for id, s := range scores {
		h := search.Hit{Item: all[id]}
		for _, v := range s {
			h.Score += v
		}
		if fusion != search.Reciprocal {
			h.Score /= float64(len(s))
		}
		if q.MinScore != nil && h.Score < *q.MinScore {
			continue
		}
		if x := vector(h.Item, search.Images); x != nil {
			c := dot(x, cosine)
			h.ImageCosine = &c
		}
		if x := vector(h.Item, search.Texts); x != nil {
			c := dot(x, cosine)
			h.TextCosine = &c
		}
		h.ImageVector, h.TextVector = nil, nil
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b search.Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) })
	return hits[:min(q.K, len(hits))]
}

func vector(it search.Item, m search.Modality) []float64 {
	v := it.ImageVector
	if m == search.Texts {
		v = it.TextVector
	}
	if v == nil {
		return nil
	}
	x := make([]float64, len(v))
	for i := range v {
		x[i] = float64(v[i])
	}
	return x
}

// mean is that of the n vectors of a modality, 0 without any.
func mean(all map[string]search.Item, m search.Modality) (sum []float64, n int) {
	for _, it := range all {
		x := vector(it, m)
		if sum == nil {
			sum = make([]float64, max(len(it.ImageVector), len(it.TextVector)))
		}
		for i, v := range x {
			sum[i] += v
		}
		if x != nil {
			n++
		}
	}
	for i := range sum {
		sum[i] /= float64(max(n, 1))
	}
	return sum, n
}

func scale(x []float64) {
	norm := math.Sqrt(dot(x, x))
	for i := range x {
		if norm > 1e-5 {
			x[i] /= norm
		} else {
			x[i] = 0
		}
	}
}

func dot(a, b []float64) float64 {
	var sum float64
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// plain takes metadata through JSON.
func plain(meta map[string]any) map[string]any {
	if len(meta) == 0 {
		return nil
	}
	b, err := json.Marshal(meta)
	if err != nil {
		panic(err) // the items are this package's own
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		panic(err)
	}
	return m
}
