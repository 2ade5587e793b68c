package op_test

import (
	"math"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestCrossEntropy(t *testing.T) {
	// Rows of equal logits: the loss is log 2 for each unit of target.
	expect(t, []int{1}, []float64{math.Ln2 * 1.25}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.CrossEntropy(zeros(b, 3, 2), b.Const([]float64{0.5, 0.5, 0, 0, 1.5, 0}, 3, 2)))
	})
	checkGradients(t, "logits and targets ", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.CrossEntropy(x[0], x[1]))
	}, []int{4, 5}, []int{4, 5})
	checkGradients(t, "ignored row ", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.CrossEntropy(x[0], b.Const([]float64{0, 1, 0, 0, 0, 0, 0.2, 0.3, 0.5}, 3, 3)))
	}, []int{3, 3})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.CrossEntropy(zeros(b, 2, 3), zeros(b, 3, 2)))
	}, "(3, 2)", "(2, 3)")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.CrossEntropy(zeros(b, 2), zeros(b, 2)))
	}, "(2), want (N, C)")
}

func TestCrossEntropyIDs(t *testing.T) {
	ids := []float64{1, -100, 0, 2}
	for _, tt := range []struct {
		name    string
		weights []float64
		want    float64
	}{
		{"counted ones have equal weight", nil, math.Log(3)},
		{"weights", []float64{1, 7, 0, 5}, math.Log(3)},
		{"nothing has weight", []float64{0, 1, 0, 0}, 0},
	} {
		build := func(b *graph.Builder, logits *graph.Node) *graph.Node {
			var w *graph.Node
			if tt.weights != nil {
				w = b.Const(tt.weights, 2, 2)
			}
			return b.Must(op.CrossEntropyIDs(logits, b.Const(ids, 2, 2), w))
		}
		expect(t, []int{1}, []float64{tt.want}, func(b *graph.Builder) *graph.Node {
			return build(b, zeros(b, 2, 2, 3))
		})
		checkGradients(t, tt.name, graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return build(b, x[0])
		}, []int{2, 2, 3})
	}
	for _, tt := range []struct {
		ids, weights []int
		want         string
	}{
		{[]int{3}, []int{2}, "ids have shape (3), logits (2, 3)"},
		{[]int{2}, []int{2, 3}, "weights have shape (2, 3), logits (2, 3)"},
	} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.CrossEntropyIDs(zeros(b, 2, 3), zeros(b, tt.ids...), zeros(b, tt.weights...)))
		}, tt.want)
	}
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.CrossEntropyIDs(zeros(b, 1, 3), b.Const([]float64{3}, 1), nil))
	}, "id 3", "[0, 3)")
}

func TestAccuracy(t *testing.T) {
	expect(t, []int{1}, []float64{0.5}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Accuracy(b.Const([]float64{1, 2, 2, 1, 3, 4}, 3, 2), b.Const([]float64{0, 1, 0, 0, 1, 0}, 3, 2)))
	})
}
