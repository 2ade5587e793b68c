package op

import (
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// joint computes the gradients of several inputs in one pass; grads[i] is nil
// where that of input i is not needed.
type joint struct {
	f32 func(grads, scratch, in [][]float32)
	f64 func(grads, scratch, in [][]float64)
}

// jointly adds one operation that computes the needed gradients of in from the
// nodes in read, with scratch of the given shapes.
func jointly(name string, in G.Nodes, need []bool, scratch []tensor.Shape, f joint, read ...*G.Node) (G.Nodes, error) {
	ds := make(G.Nodes, len(in))
	var outputs []tensor.Shape
	for i, x := range in {
		if need[i] {
			outputs = append(outputs, x.Shape())
		}
	}
	count := len(outputs)
	if count == 0 {
		return ds, nil
	}
	all, err := apply(spec{
		name:    name,
		outputs: append(outputs, scratch...),
		forward: compute{spread(need, f.f32), spread(need, f.f64)},
	}, read...)
	if err != nil {
		return nil, err
	}
	for i, at := 0, 0; i < len(in); i++ {
		if !need[i] {
			continue
		}
		if ds[i] = all; at > 0 {
			if ds[i], err = tap(all, at); err != nil {
				return nil, err
			}
		}
		at++
	}
	return ds, nil
}

// spread tells gradients and scratch apart among the outputs.
func spread[T kernel.Float](need []bool, f func(grads, scratch, in [][]T)) func(out, in [][]T) {
	need = slices.Clone(need)
	grads := make([][]T, len(need))
	return func(out, in [][]T) {
		at := 0
		for i, n := range need {
			if n {
				grads[i] = out[at]
				at++
			}
		}
		f(grads, out[at:], in)
	}
}
