package op_test

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestEmptyProductsAndNorms(t *testing.T) {
	heads := op.AttentionConfig{Heads: 2}
	for _, tt := range []struct {
		name   string
		shapes [][]int // of the arguments
		shape  []int
		want   []float64
		f      func(x ...*graph.Node) (*graph.Node, error)
	}{
		{"linear without rows", [][]int{{0, 3}, {2, 3}, {2}}, []int{0, 2}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.Linear(x[0], x[1], x[2], op.LinearConfig{Act: op.GELU})
		}},
		{"linear without inputs", [][]int{{1, 0}, {2, 0}, {2}}, []int{1, 2}, []float64{0, 0}, func(x ...*graph.Node) (*graph.Node, error) {
			return op.Linear(x[0], x[1], x[2], op.LinearConfig{Act: op.Identity})
		}},
		{"matmul without terms", [][]int{{2, 1, 0}, {0, 2}}, []int{2, 1, 2}, []float64{0, 0, 0, 0}, func(x ...*graph.Node) (*graph.Node, error) {
			return op.MatMul(x[0], x[1], false, false)
		}},
		{"matmul of no batch", [][]int{{0, 3, 1}, {3, 2}}, []int{0, 1, 2}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.MatMul(x[0], x[1], true, false)
		}},
		{"softmax", [][]int{{3, 0}, {1, 0}}, []int{3, 0}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.Softmax(x[0], x[1])
		}},
		{"layer_norm", [][]int{{0, 3}, {3}, {3}}, []int{0, 3}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.LayerNorm(x[0], x[1], x[2], 1e-5)
		}},
		{"l2_normalize", [][]int{{2, 0}}, []int{2, 0}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.L2Normalize(x[0], 1e-5)
		}},
		{"attention without queries", [][]int{{2, 0, 4}, {2, 3, 4}, {2, 3, 2}}, []int{2, 0, 2}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.Attention(x[0], x[1], x[2], nil, heads)
		}},
		{"attention without keys", [][]int{{1, 2, 4}, {1, 0, 4}, {1, 0, 2}}, []int{1, 2, 2}, []float64{0, 0, 0, 0}, func(x ...*graph.Node) (*graph.Node, error) {
			return op.Attention(x[0], x[1], x[2], nil, heads)
		}},
		{"activate", [][]int{{0, 2}}, []int{0, 2}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.Activate(x[0], op.GELU)
		}},
		{"drop_path", [][]int{{0, 2}}, []int{0, 2}, nil, func(x ...*graph.Node) (*graph.Node, error) {
			return op.DropPath(x[0], 0.5, &op.Noise{}, 0)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			build := func(b *graph.Builder) *graph.Node {
				var x []*graph.Node
				for _, s := range tt.shapes {
					x = append(x, zeros(b, s...))
				}
				return b.Must(tt.f(x...))
			}
			expect(t, tt.shape, tt.want, build)
			// The gradients of all arguments can be computed as well.
			s := graph.NewScope(graph.Seed(1))
			for i, shape := range tt.shapes {
				s.Param(fmt.Sprint("x", i), graph.Zeros, shape...)
			}
			p, err := graph.Compile(func(b *graph.Builder) {
				var x []*graph.Node
				for q := range s.Params().All() {
					x = append(x, b.Param(q))
				}
				b.Minimize(b.Must(op.Sum(b.Must(tt.f(x...)), false)))
			}, &graph.Options{Training: true})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Run(nil); err != nil {
				t.Fatal(err)
			}
			for _, g := range p.Grads() {
				for _, v := range g.Value.Float32s() {
					if v != v {
						t.Errorf("gradient of %s is NaN", g.Param.Name)
					}
				}
			}
		})
	}
}
