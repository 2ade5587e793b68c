package op_test

import (
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestGather(t *testing.T) {
	expect(t, []int{2, 1, 2}, []float64{4, 5, 0, 1}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Gather(upTo(b, 3, 2), b.Const([]float64{2, 0}, 2, 1)))
	})
	checkGradients(t, "gather", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.Gather(x[0], b.Const([]float64{3, 1, 3, 4, 3, 1}, 2, 3)))
	}, []int{5, 7})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Gather(upTo(b, 3), upTo(b, 2)))
	}, "table has shape (3), want (V, D)")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Gather(upTo(b, 3, 2), b.Const([]float64{1, 3}, 2)))
	}, "id 3", "[0, 3)")
}

func TestAt(t *testing.T) {
	expect(t, []int{2, 2}, []float64{4, 5, 6, 7}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.At(upTo(b, 2, 3, 2), b.Const([]float64{2, 0}, 2)))
	})
	checkGradients(t, "at", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.At(x[0], b.Const([]float64{3, 0, 3}, 3)))
	}, []int{3, 4, 5})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.At(upTo(b, 2, 3), upTo(b, 2)))
	}, "(2, 3), want (B, N, D)")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.At(upTo(b, 2, 3, 2), upTo(b, 3)))
	}, "(3), want (2)")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.At(upTo(b, 2, 3, 2), b.Const([]float64{0, 0.5}, 2)))
	}, "id 0.5", "[0, 3)")
}
