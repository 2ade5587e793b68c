package layers_test

import (
	"slices"
	"testing"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/layers"
)

func TestConvolutions(t *testing.T) {
	for _, tt := range []struct {
		name  string
		build func(s graph.Scope) func(b *graph.Builder, x *graph.Node) *graph.Node
		want  []int
	}{
		{"4×4 by 2", func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewConv2D(s, 2, 3, 4, 2, 1).Forward
		}, []int{2, 3, 3, 2}},
		{"1×1", func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewConv2D(s, 2, 3, 1, 1, 0).Forward
		}, []int{2, 3, 6, 4}},
		{"3×3", func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewConv2D(s, 2, 3, 3, 1, 1).Forward
		}, []int{2, 3, 6, 4}},
		{"4×4 by 2, transposed", func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewConvTranspose2D(s, 2, 3, 4, 2, 1).Forward
		}, []int{2, 3, 12, 8}},
		{"batch norm", func(s graph.Scope) func(*graph.Builder, *graph.Node) *graph.Node {
			return layers.NewBatchNorm(s, 2, 0.1, 1e-5).Forward
		}, []int{2, 2, 6, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := graph.NewScope(graph.Seed(3))
			x := s.Param("x", graph.Normal(1), 2, 2, 6, 4)
			forward := tt.build(s.Sub("layer"))
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			jitter(s.Params())
			graphtest.Grad(t, s.Params(), func(b *graph.Builder) *graph.Node {
				y := forward(b, b.Param(x))
				if !slices.Equal(y.Shape(), tt.want) {
					t.Errorf("shape %v, want %v", y.Shape(), tt.want)
				}
				return y
			})
		})
	}
}

// TestBatchNormFollows: training moves the running statistics towards those of
// the batch, by which evaluation then normalizes; evaluation moves nothing.
func TestBatchNormFollows(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	l := layers.NewBatchNorm(s.Sub("norm"), 1, 0.5, 1e-12)
	x := []float64{-1, 3, 5, 9} // mean 4, variance 13, unbiased 52/3
	compile := func(o graph.Options) *graph.Program {
		p, err := graph.Compile(func(b *graph.Builder) {
			y := l.Rectified(b, b.Const(x, 4, 1), 0.25)
			b.Output("y", y)
			if o.Training {
				b.Minimize(b.Sum(y))
			}
		}, &o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(nil); err != nil {
			t.Fatal(err)
		}
		return p
	}
	near := func(what string, got float32, want float64) {
		if d := float64(got) - want; d > 1e-5 || d < -1e-5 {
			t.Errorf("%s is %g, want %g", what, got, want)
		}
	}
	compile(graph.Options{Training: true})
	for range 2 {
		near("running mean", l.Mean.Float32s()[0], 0.5*0+0.5*4)
		near("running variance", l.Variance.Float32s()[0], 0.5*1+0.5*52./3)
		y := compile(graph.Options{}).Output("y").Float32s()
		const deviation = 3.0276503540974917 // √(1/2 + 26/3)
		near("y of −1", y[0], 0.25*(-1-2)/deviation)
		near("y of 9", y[3], (9-2)/deviation)
	}
}
