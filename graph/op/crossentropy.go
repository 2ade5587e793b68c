package op

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// CrossEntropy gives the mean over rows of −Σ target·log softmax(logits), as
// shape (1), for logits and target probabilities (N, C). Rows whose targets
// sum to 0 are not counted; it is 0 if no row is left.
func CrossEntropy(logits, target *G.Node) (*G.Node, error) {
	n, c, err := rowsOfClasses(logits, target)
	if err != nil {
		return nil, err
	}
	return apply(spec{
		name:    "cross_entropy",
		outputs: []tensor.Shape{{1}, {n, 4}},
		forward: compute{crossEntropy[float32](n, c), crossEntropy[float64](n, c)},
		backward: func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
			stats, err := tap(out, 1)
			if err != nil {
				return nil, err
			}
			return gradient(in, need,
				func() (*G.Node, error) {
					return elementwise("cross_entropy.logits", compute{crossEntropyBackward[float32](n, c), crossEntropyBackward[float64](n, c)}, in[0], in[1], stats, grad)
				},
				func() (*G.Node, error) {
					return elementwise("cross_entropy.target", compute{crossEntropyTarget[float32](n, c), crossEntropyTarget[float64](n, c)}, in[0], stats, grad)
				})
		},
	}, logits, target)
}

func rowsOfClasses(logits, target *G.Node) (n, c int, err error) {
	s := logits.Shape()
	if s.Dims() != 2 || s[1] < 1 {
		return 0, 0, errors.Errorf("logits have shape %v, want (N, C)", s)
	}
	if !slices.Equal(s, target.Shape()) {
		return 0, 0, errors.Errorf("target has shape %v, logits %v", target.Shape(), s)
	}
	return s[0], s[1], nil
}

func crossEntropy[T kernel.Float](n, c int) func(out, in [][]T) {
	return func(out, in [][]T) { out[0][0] = kernel.CrossEntropy(out[1], in[0], in[1], n, c) }
}

func crossEntropyBackward[T kernel.Float](n, c int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.CrossEntropyBackward(out[0], in[2], in[0], in[1], in[3][0], n, c) }
}

func crossEntropyTarget[T kernel.Float](n, c int) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.CrossEntropyTarget(out[0], in[1], in[0], in[2][0], n, c) }
}

// CrossEntropyIDs gives the mean of −log softmax(logits)[id], as shape (1), for
// logits (…, V) and ids (…) of classes. weights (…), which may be nil, weight
// the mean; they are constants. Positions with a negative id or weight 0 are
// not counted; it is 0 if none is left. Running it fails on ids that are not
// whole or not below V.
func CrossEntropyIDs(logits, ids, weights *G.Node) (*G.Node, error) {
	s := logits.Shape()
	last := s.Dims() - 1
	if last < 1 || s[last] < 1 {
		return nil, errors.Errorf("logits have shape %v, want (…, V)", s)
	}
	if !slices.Equal(s[:last], ids.Shape()) {
		return nil, errors.Errorf("ids have shape %v, logits %v", ids.Shape(), s)
	}
	if weights != nil && !slices.Equal(s[:last], weights.Shape()) {
		return nil, errors.Errorf("weights have shape %v, logits %v", weights.Shape(), s)
	}
	n, v := ids.Shape().TotalSize(), s[last]
	return apply(spec{
		name:    "cross_entropy_ids",
		outputs: []tensor.Shape{{1}, {n, 4}},
		forward: compute{crossEntropyIDs[float32](n, v), crossEntropyIDs[float64](n, v)},
		backward: func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
			ds := make(G.Nodes, len(in))
			if !need[0] {
				return ds, nil
			}
			stats, err := tap(out, 1)
			if err != nil {
				return nil, err
			}
			ds[0], err = elementwise("cross_entropy_ids.backward", compute{crossEntropyIDsBackward[float32](n, v), crossEntropyIDsBackward[float64](n, v)}, in[0], in[1], stats, grad)
			return ds, err
		},
	}, args(logits, ids, weights)...)
}

func crossEntropyIDs[T kernel.Float](n, v int) func(out, in [][]T) {
	return func(out, in [][]T) { out[0][0] = kernel.CrossEntropyIDs(out[1], in[0], in[1], third(in), n, v) }
}

func crossEntropyIDsBackward[T kernel.Float](n, v int) func(out, in [][]T) {
	return func(out, in [][]T) {
		kernel.CrossEntropyIDsBackward(out[0], in[2], in[0], in[1], in[3][0], n, v)
	}
}

// Accuracy gives the share of rows of logits (N, C) whose greatest element is
// where the target's is, as shape (1). Rows whose targets sum to 0 are not
// counted; it is 0 if no row is left.
func Accuracy(logits, target *G.Node) (*G.Node, error) {
	n, c, err := rowsOfClasses(logits, target)
	if err != nil {
		return nil, err
	}
	return apply(spec{
		name:    "accuracy",
		outputs: []tensor.Shape{{1}},
		forward: compute{accuracy[float32](n, c), accuracy[float64](n, c)},
	}, logits, target)
}

func accuracy[T kernel.Float](n, c int) func(out, in [][]T) {
	return func(out, in [][]T) { out[0][0] = kernel.Accuracy(in[0], in[1], n, c) }
}
