package op_test

import (
	"fmt"
	"math"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

// batchNorm applies the operation to the columns (1 2 6) and (10 30 20).
func batchNorm(training bool) func(b *graph.Builder) (y, mean, variance *graph.Node) {
	return func(b *graph.Builder) (y, mean, variance *graph.Node) {
		x := b.Const([]float64{1, 10, 2, 30, 6, 20}, 3, 2)
		y, mean, variance, err := op.BatchNorm(x, b.Const([]float64{2, 0.5}, 2), b.Const([]float64{0.25, -1}, 2),
			b.Const([]float64{1, 2}, 2), b.Const([]float64{3, 4}, 2), 0.1, 1e-5, training)
		return b.Must(y, err), mean, variance
	}
}

func TestBatchNormInTraining(t *testing.T) {
	d0, d1 := 2/math.Sqrt(14./3+1e-5), 0.5/math.Sqrt(200./3+1e-5)
	expect(t, []int{3, 2}, []float64{-2*d0 + .25, -10*d1 - 1, -d0 + .25, 10*d1 - 1, 3*d0 + .25, -1}, func(b *graph.Builder) *graph.Node {
		y, _, _ := batchNorm(true)(b)
		return y
	})
	expect(t, []int{2}, []float64{1.2, 3.8}, func(b *graph.Builder) *graph.Node {
		_, mean, _ := batchNorm(true)(b)
		return mean
	})
	expect(t, []int{2}, []float64{0.9*3 + 0.1*7, 0.9*4 + 0.1*100}, func(b *graph.Builder) *graph.Node {
		_, _, variance := batchNorm(true)(b)
		return variance
	})
}

func TestBatchNormInEvaluation(t *testing.T) {
	d0, d1 := 2/math.Sqrt(3+1e-5), 0.5/math.Sqrt(4+1e-5)
	expect(t, []int{3, 2}, []float64{.25, 8*d1 - 1, d0 + .25, 28*d1 - 1, 5*d0 + .25, 18*d1 - 1}, func(b *graph.Builder) *graph.Node {
		y, mean, variance := batchNorm(false)(b)
		if mean != nil || variance != nil {
			t.Error("there are new running statistics in evaluation")
		}
		return y
	})
}

func TestBatchNormGradients(t *testing.T) {
	for _, training := range []bool{true, false} {
		for _, x := range [][]int{{5, 3}, {2, 3, 2, 4}, {1, 1, 3, 1}} {
			checkGradients(t, fmt.Sprintf("training=%v ", training), graph.Normal(1), func(b *graph.Builder, in ...*graph.Node) *graph.Node {
				mean, variance := make([]float64, x[1]), make([]float64, x[1])
				for i := range mean {
					mean[i], variance[i] = 0.1*float64(i), 1+float64(i)
				}
				y, _, _, err := op.BatchNorm(in[0], in[1], in[2], b.Const(mean, x[1]), b.Const(variance, x[1]), 0.1, 1e-3, training)
				return b.Must(y, err)
			}, x, x[1:2], x[1:2])
		}
	}
}

func TestBatchNormErrors(t *testing.T) {
	for _, tt := range []struct {
		x, p []int
		want string
	}{
		{[]int{2, 3, 4}, []int{3}, "x has shape (2, 3, 4), want (B, C, H, W) or (B, C)"},
		{[]int{2, 3}, []int{2}, "weight has shape (2), want (3)"},
		{[]int{1, 3}, []int{3}, "1 values a channel"},
	} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			p := zeros(b, tt.p...)
			y, _, _, err := op.BatchNorm(zeros(b, tt.x...), p, p, p, p, 0.1, 1e-5, true)
			return b.Must(y, err)
		}, tt.want)
	}
}
