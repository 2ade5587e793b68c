package op_test

import (
	"fmt"
	"math"
	"testing"

	"gorgonia.org/tensor"

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

func BenchmarkMemoryBound(b *testing.B) {
	for _, bm := range []struct {
		name   string
		shapes [][]int
		f      func(x ...*graph.Node) (*graph.Node, error)
	}{
		{"add", [][]int{{2048, 768}, {2048, 768}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Add(x[0], x[1]) }},
		{"add_row", [][]int{{2048, 768}, {768}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Add(x[0], x[1]) }},
		{"mul_column", [][]int{{2048, 768}, {2048, 1}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Mul(x[0], x[1]) }},
		{"sum_rows", [][]int{{2048, 768}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Sum(x[0], false, 1) }},
		{"sum_columns", [][]int{{2048, 768}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Sum(x[0], false, 0) }},
		{"transpose", [][]int{{8, 256, 768}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Transpose(x[0], 0, 2, 1) }},
		{"patches", [][]int{{32, 3, 128, 128}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Patches(x[0], 16) }},
		{"cross_entropy", [][]int{{2048, 768}, {2048, 768}}, func(x ...*graph.Node) (*graph.Node, error) { return op.CrossEntropy(x[0], x[1]) }},
		{"nearest/codes=768", [][]int{{2048, 64}, {768, 64}}, func(x ...*graph.Node) (*graph.Node, error) { return op.Nearest(x[0], x[1]) }},
	} {
		b.Run("op="+bm.name, func(b *testing.B) {
			s := graph.NewScope(graph.Seed(1))
			p, err := graph.Compile(func(g *graph.Builder) {
				var x []*graph.Node
				for i, shape := range bm.shapes {
					x = append(x, g.Param(s.Param(fmt.Sprint("x", i), graph.Normal(1), shape...)))
				}
				g.Output("y", g.Must(bm.f(x...)))
			}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			for b.Loop() {
				if err := p.Run(nil); err != nil {
					b.Fatal(err)
				}
			}
			n := tensor.Shape(bm.shapes[0]).TotalSize()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/elem")
		})
	}
}
