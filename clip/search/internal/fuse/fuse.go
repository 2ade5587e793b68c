// Package fuse has what indexes on servers share.
package fuse

import "tessera/clip/search"

// Centre gives the unit vector of a query after the mean of its kind is taken
// from each term; means that are nil are not. It is 0 if nothing is left.
func Centre(q search.Query, means map[search.Modality][]float64) []float32 {
	c := search.Query{Terms: make([]search.Term, len(q.Terms))}
	for i, t := range q.Terms {
		if mean := means[t.Kind]; mean != nil {
			x := make([]float32, len(t.Vector))
			for j, v := range t.Vector {
				x[j] = float32(float64(v) - mean[j])
			}
			t.Vector = x
		}
		c.Terms[i] = t
	}
	x, err := c.Vector()
	if err != nil {
		return make([]float32, len(q.Terms[0].Vector))
	}
	return x
}
