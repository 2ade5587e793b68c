package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// maxExact is the greatest whole number up to which a float32 holds all.
const maxExact = 1 << 24

// Gather picks rows of table (V, D) by ids (…), giving (…, D). Running it fails
// on ids that are not whole numbers in [0, V).
func Gather(table, ids *G.Node) (*G.Node, error) {
	s := table.Shape()
	if s.Dims() != 2 {
		return nil, errors.Errorf("table has shape %v, want (V, D)", s)
	}
	if n := ids.Shape().TotalSize(); n >= maxExact || s[0] > maxExact {
		return nil, errors.Errorf("%d ids in a table of %d rows, want at most %d", n, s[0], maxExact)
	}
	return apply(spec{
		name:    "gather",
		outputs: []tensor.Shape{append(ids.Shape().Clone(), s[1])},
		forward: compute{gather[float32](s), gather[float64](s)},
		backward: func(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
			if !need[0] {
				return make(G.Nodes, 2), nil
			}
			d, err := apply(spec{
				name:    "gather.backward",
				outputs: []tensor.Shape{s, {s[0] + in[1].Shape().TotalSize()}}, // and scratch
				forward: compute{scatterAdd[float32](s), scatterAdd[float64](s)},
			}, grad, in[1])
			return G.Nodes{d, nil}, err
		},
	}, table, ids)
}

func gather[T kernel.Float](s tensor.Shape) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Gather(out[0], in[0], in[1], s[0], s[1]) }
}

func scatterAdd[T kernel.Float](s tensor.Shape) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.ScatterAdd(out[0], in[0], in[1], out[1], s[0], s[1]) }
}

// At picks row ids[b] of each example b of x (B, N, D), giving (B, D). Running
// it fails on ids (B) that are not whole numbers in [0, N).
func At(x, ids *G.Node) (*G.Node, error) {
	s := x.Shape()
	if s.Dims() != 3 {
		return nil, errors.Errorf("x has shape %v, want (B, N, D)", s)
	}
	if i := ids.Shape(); i.Dims() != 1 || i[0] != s[0] {
		return nil, errors.Errorf("ids have shape %v, want (%d)", i, s[0])
	}
	return apply(spec{
		name:    "at",
		outputs: []tensor.Shape{{s[0], s[2]}},
		forward: compute{at[float32](s), at[float64](s)},
		backward: func(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
			if !need[0] {
				return make(G.Nodes, 2), nil
			}
			d, err := apply(spec{
				name:    "at.backward",
				outputs: []tensor.Shape{s},
				forward: compute{atBackward[float32](s), atBackward[float64](s)},
			}, grad, in[1])
			return G.Nodes{d, nil}, err
		},
	}, x, ids)
}

func at[T kernel.Float](s tensor.Shape) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.At(out[0], in[0], in[1], s[1], s[2]) }
}

func atBackward[T kernel.Float](s tensor.Shape) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.AtBackward(out[0], in[0], in[1], s[1], s[2]) }
}
