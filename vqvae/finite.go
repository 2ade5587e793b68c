package vqvae

import (
	"math"

	"tessera/graph"
	"tessera/graph/op"
)

func logOf(n int) float64 { return math.Log(float64(n)) }

// finite rounds every dimension to a few levels (arXiv:2309.15505): the codebook
// is the grid of all combinations, and nothing has to be learned.
type finite struct {
	levels []int
	// Of each dimension: z becomes half·tanh(z + shift) − offset, whose rounded
	// values are the levels, counted from −L/2, rounded up.
	half, shift, offset []float64
	unit                []float64 // 1 / (L/2, rounded down): codes lie within [−1, 1]
	place               []float64 // weight of a level in the number of the code
	first               []float64 // L/2, rounded down: what makes levels count from 0
}

func newFinite(levels []int) *finite {
	q := &finite{levels: levels}
	place := 1.0
	for _, L := range levels {
		half, offset := float64(L-1)*(1+1e-3)/2, 0.0
		if L%2 == 0 {
			offset = 0.5
		}
		q.half = append(q.half, half)
		q.offset = append(q.offset, offset)
		q.shift = append(q.shift, math.Atanh(offset/half))
		q.unit = append(q.unit, 1/float64(L/2))
		q.first = append(q.first, float64(L/2))
		q.place = append(q.place, place)
		place *= float64(L)
	}
	return q
}

func (q *finite) Forward(b *graph.Builder, z *graph.Node) Quantized {
	D := len(q.levels)
	row := func(v []float64) *graph.Node { return b.Const(v, 1, D) }
	bounded := b.Activate(b.Add(z, row(q.shift)), op.Tanh)
	bounded = b.Sub(b.Mul(bounded, row(q.half)), row(q.offset))
	level := b.Round(bounded)
	ids := b.MatMul(b.Add(level, row(q.first)), b.Const(q.place, D, 1)) // (N, 1)
	codes := b.Mul(b.StraightThrough(bounded, level), row(q.unit))
	return Quantized{Codes: codes, IDs: b.Reshape(ids, z.Shape()[0])}
}

// Lookup maps ids (N) to codes (N, D).
func (q *finite) Lookup(b *graph.Builder, ids *graph.Node) *graph.Node {
	D := len(q.levels)
	K := product(q.levels)
	table := make([]float64, 0, K*D)
	for id := range K {
		for i, L := range q.levels {
			table = append(table, (float64(id%L)-q.first[i])*q.unit[i])
			id /= L
		}
	}
	return b.Gather(b.Const(table, K, D), ids)
}
