package op_test

import (
	"fmt"
	"math"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestSoftmax(t *testing.T) {
	for _, shape := range [][]int{{4}, {3, 1}, {2, 3, 5}} {
		checkGradients(t, "softmax", graph.Normal(2), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Softmax(x[0], nil))
		}, shape)
		checkGradients(t, "log_softmax", graph.Normal(2), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.LogSoftmax(x[0]))
		}, shape)
	}
	for _, mask := range [][]int{{4}, {3, 4}, {2, 1, 4}, {1, 3, 4}, {2, 3, 4}} {
		checkGradients(t, "bias", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Softmax(x[0], x[1]))
		}, []int{2, 3, 4}, mask)
	}
}

// excluding is a mask of −Inf at some places of a shape and 0 elsewhere.
func excluding(b *graph.Builder, places []int, shape ...int) *graph.Node {
	n := 1
	for _, d := range shape {
		n *= d
	}
	m := make([]float64, n)
	for _, i := range places {
		m[i] = math.Inf(-1)
	}
	return b.Const(m, shape...)
}

func TestSoftmaxMasked(t *testing.T) {
	expect(t, []int{2, 3}, []float64{0.5, 0.5, 0, 0, 0, 0}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Softmax(zeros(b, 2, 3), excluding(b, []int{2, 3, 4, 5}, 2, 3)))
	})
	checkGradients(t, "masked", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.Softmax(x[0], excluding(b, []int{2, 3, 4, 5}, 2, 3)))
	}, []int{4, 2, 3})
}

func TestSoftmaxErrors(t *testing.T) {
	for _, mask := range [][]int{{3}, {1}, {2, 4}, {5, 2, 3, 4}, {2, 3, 1}} {
		t.Run(fmt.Sprint(mask), func(t *testing.T) {
			expectError(t, func(b *graph.Builder) *graph.Node {
				return b.Must(op.Softmax(zeros(b, 2, 3, 4), zeros(b, mask...)))
			}, "does not fit scores (2, 3, 4)")
		})
	}
}

func BenchmarkSoftmax(b *testing.B) {
	b.Run("width=197", func(b *testing.B) {
		perElement(b, 1200*197, func(b *graph.Builder, x *graph.Node) *graph.Node {
			return b.Must(op.Softmax(x, nil))
		}, 1200, 197)
	})
}
