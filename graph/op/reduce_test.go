package op_test

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestSumAndMean(t *testing.T) {
	for _, tt := range []struct {
		keep  bool
		axes  []int
		shape []int
		sum   []float64 // of 0, …, 11 as (2, 3, 2)
	}{
		{false, nil, []int{1}, []float64{66}},
		{true, nil, []int{1, 1, 1}, []float64{66}},
		{false, []int{0, 1, 2}, []int{1}, []float64{66}},
		{false, []int{0}, []int{3, 2}, []float64{6, 8, 10, 12, 14, 16}},
		{true, []int{1}, []int{2, 1, 2}, []float64{6, 9, 24, 27}},
		{false, []int{1}, []int{2, 2}, []float64{6, 9, 24, 27}},
		{false, []int{2, 0}, []int{3}, []float64{14, 22, 30}},
		{false, []int{2}, []int{2, 3}, []float64{1, 5, 9, 13, 17, 21}},
	} {
		expect(t, tt.shape, tt.sum, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Sum(upTo(b, 2, 3, 2), tt.keep, tt.axes...))
		})
		mean := make([]float64, len(tt.sum))
		for i, v := range tt.sum {
			mean[i] = v * float64(len(tt.sum)) / 12
		}
		expect(t, tt.shape, mean, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Mean(upTo(b, 2, 3, 2), tt.keep, tt.axes...))
		})
		name := fmt.Sprint(tt.keep, tt.axes)
		checkGradients(t, "sum "+name, graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Sum(x[0], tt.keep, tt.axes...))
		}, []int{2, 3, 5})
		checkGradients(t, "mean "+name, graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Mean(x[0], tt.keep, tt.axes...))
		}, []int{4, 1, 5})
	}
	for _, axes := range [][]int{{2}, {-1}, {0, 0}} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Sum(upTo(b, 2, 3), false, axes...))
		}, fmt.Sprint(axes), "(2, 3)")
	}
}
