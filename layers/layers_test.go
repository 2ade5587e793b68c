package layers_test

import (
	"testing"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/graph/op"
	"tessera/layers"
)

// jitter moves every parameter off its initial value, so that a forgotten bias
// or norm shows.
func jitter(ps *graph.Params) {
	for p := range ps.All() {
		for i := range p.Float32s() {
			p.Float32s()[i] += 0.1 * float32(i%7-3)
		}
	}
}

func TestGradients(t *testing.T) {
	weight := graph.Normal(0.5)
	for _, tt := range []struct {
		name  string
		shape []int
		build func(s graph.Scope) func(b *graph.Builder, x *graph.Node) *graph.Node
	}{
		{"linear", []int{2, 3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewLinear(s, 4, 5, weight).Forward
		}},
		{"projection", []int{3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewProjection(s, 4, 5, weight).Forward
		}},
		{"layer norm", []int{2, 3, 5}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewLayerNorm(s, 5, 1e-6).Forward
		}},
		{"mlp", []int{2, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewMLP(s, 4, 6, op.GELU, 0, weight).Forward
		}},
		{"mlp with dropout", []int{2, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewMLP(s, 4, 6, op.QuickGELU, 0.3, weight).Forward
		}},
		{"attention", []int{2, 3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			a := layers.NewAttention(s, layers.AttentionConfig{Width: 4, Heads: 2, Init: weight})
			return func(b *graph.Builder, x *graph.Node) *graph.Node { return a.Forward(b, x, nil) }
		}},
		{"causal attention with dropout", []int{2, 3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			a := layers.NewAttention(s, layers.AttentionConfig{Width: 4, Heads: 2, NoBias: true, Dropout: 0.2, Init: weight})
			return func(b *graph.Builder, x *graph.Node) *graph.Node { return a.Forward(b, x, layers.Causal(b, 3)) }
		}},
		{"cross-attention", []int{2, 3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			a := layers.NewAttention(s, layers.AttentionConfig{Width: 4, Context: 6, Heads: 2, Init: weight})
			context := s.Param("context", graph.Normal(1), 2, 5, 6)
			return func(b *graph.Builder, x *graph.Node) *graph.Node { return a.Cross(b, x, b.Param(context), nil) }
		}},
		{"block", []int{2, 3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			k := layers.NewBlock(s, layers.BlockConfig{
				Width: 4, Hidden: 5, Heads: 2, Act: op.GELU, Eps: 1e-6, Dropout: 0.1, DropPath: 0.2, Init: weight,
			})
			return func(b *graph.Builder, x *graph.Node) *graph.Node { return k.Forward(b, x, nil) }
		}},
		{"patches", []int{2, 3, 4, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewPatches(s, 3, 2, 5, weight).Forward
		}},
		{"prepend", []int{2, 3, 4}, func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			token := s.Param("token", graph.Normal(1), 1, 1, 4)
			return func(b *graph.Builder, x *graph.Node) *graph.Node { return layers.Prepend(b, token, x) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := graph.NewScope(graph.Seed(3))
			x := s.Param("x", graph.Normal(1), tt.shape...)
			forward := tt.build(s.Sub("layer"))
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			jitter(s.Params())
			graphtest.Grad(t, s.Params(), func(b *graph.Builder) *graph.Node { return forward(b, b.Param(x)) })
		})
	}
}
