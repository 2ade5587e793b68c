package op_test

import (
	"fmt"
	"math"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestLayerNorm(t *testing.T) {
	for _, shape := range [][]int{{5}, {3, 7}, {2, 3, 4}, {40, 2, 33}} {
		d := shape[len(shape)-1]
		checkGradients(t, "affine", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.LayerNorm(x[0], x[1], x[2], 1e-2))
		}, shape, []int{d}, []int{d})
		checkGradients(t, "plain", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.LayerNorm(x[0], nil, nil, 1e-2))
		}, shape)
	}
	for only := range 3 {
		checkGradients(t, fmt.Sprint("only ", only), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			in := []*graph.Node{upTo(b, 2, 3), upTo(b, 3), upTo(b, 3)}
			in[only] = x[0]
			return b.Must(op.LayerNorm(in[0], in[1], in[2], 1e-2))
		}, [][]int{{2, 3}, {3}, {3}}[only])
	}
	r := math.Sqrt(1.5)
	expect(t, []int{2, 3}, []float64{-r, 1, 2*r + 2, -r, 1, 2*r + 2}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.LayerNorm(upTo(b, 2, 3), b.Const([]float64{1, 1, 2}, 3), upTo(b, 3), 0))
	})
}

func TestLayerNormErrors(t *testing.T) {
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.LayerNorm(zeros(b, 2, 3), zeros(b, 3), nil, 1e-5))
	}, "both or none")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.LayerNorm(zeros(b, 2, 3), zeros(b, 3), zeros(b, 2), 1e-5))
	}, "weight (3) and bias (2)", "want (3)")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.LayerNorm(zeros(b, 2, 3), nil, nil, -1))
	}, "eps = -1")
}

func TestL2Normalize(t *testing.T) {
	for _, shape := range [][]int{{4}, {3, 5}, {2, 3, 2}} {
		checkGradients(t, "l2", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.L2Normalize(x[0], 1e-12))
		}, shape)
	}
	checkGradients(t, "short", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.L2Normalize(x[0], 100))
	}, []int{3, 2})
	expect(t, []int{2, 2}, []float64{0, 0, -0.6, 0.8}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.L2Normalize(b.Const([]float64{0, 0, -3, 4}, 2, 2), 1e-12))
	})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.L2Normalize(zeros(b, 2), 0))
	}, "eps = 0")
}

func BenchmarkLayerNorm(b *testing.B) {
	for _, d := range []int{192, 768} {
		b.Run(fmt.Sprintf("width=%d", d), func(b *testing.B) {
			perElement(b, 512*d, func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Must(op.LayerNorm(x, zeros(b, d), zeros(b, d), 1e-5))
			}, 512, d)
		})
	}
}
