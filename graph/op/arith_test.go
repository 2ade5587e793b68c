package op_test

import (
	"math"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestArithmetic(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(a, b *graph.Node) (*graph.Node, error)
		want []float64 // of (0 1 2; 3 4 5) and (1; 2)
	}{
		{"add", op.Add, []float64{1, 2, 3, 5, 6, 7}},
		{"sub", op.Sub, []float64{-1, 0, 1, 1, 2, 3}},
		{"mul", op.Mul, []float64{0, 1, 2, 6, 8, 10}},
		{"div", op.Div, []float64{0, 1, 2, 1.5, 2, 2.5}},
	} {
		expect(t, []int{2, 3}, tt.want, func(b *graph.Builder) *graph.Node {
			return b.Must(tt.f(upTo(b, 2, 3), b.Const([]float64{1, 2}, 2, 1)))
		})
		f := func(b *graph.Builder, x ...*graph.Node) *graph.Node { return b.Must(tt.f(x[0], x[1])) }
		for _, shapes := range [][2][]int{
			{{3, 5}, {3, 5}}, {{3, 5}, {5}}, {{5}, {3, 5}}, {{1, 5}, {5}}, {{3, 1}, {1, 4}},
			{{1}, {2, 3}}, {{2, 3, 1, 2}, {3, 4, 1}}, {{2, 3, 4, 5}, {1, 3, 1, 1}},
		} {
			checkGradients(t, tt.name, away, f, shapes[0], shapes[1])
		}
		checkGradients(t, tt.name+" with itself", away, func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(tt.f(x[0], x[0]))
		}, []int{3})
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(tt.f(upTo(b, 2, 3), upTo(b, 2)))
		}, "(2, 3)", "(2)")
	}
}

func TestElementwise(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(x *graph.Node) (*graph.Node, error)
		init graph.Init
		at2  float64
	}{
		{"scale", func(x *graph.Node) (*graph.Node, error) { return op.Scale(x, -3) }, graph.Normal(1), -6},
		{"shift", func(x *graph.Node) (*graph.Node, error) { return op.Shift(x, 0.5) }, graph.Normal(1), 2.5},
		{"exp", op.Exp, graph.Normal(1), math.Exp(2)},
		{"log", op.Log, positive, math.Ln2},
		{"sqrt", op.Sqrt, positive, math.Sqrt2},
		{"square", op.Square, graph.Normal(1), 4},
		{"clamp", func(x *graph.Node) (*graph.Node, error) { return op.Clamp(x, -1, 0.75) }, graph.Normal(1), 0.75},
	} {
		expect(t, []int{1}, []float64{tt.at2}, func(b *graph.Builder) *graph.Node {
			return b.Must(tt.f(b.Const([]float64{2}, 1)))
		})
		checkGradients(t, tt.name, tt.init, func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(tt.f(x[0]))
		}, []int{3, 7})
	}
	for _, bounds := range [][2]float64{{1, 0}, {math.NaN(), 0}} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Clamp(upTo(b, 2), bounds[0], bounds[1]))
		}, "no interval")
	}
}
