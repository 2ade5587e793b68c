package layers_test

import (
	"fmt"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

func BenchmarkBlock(b *testing.B) {
	for _, bb := range []struct{ batch, tokens, width, heads int }{{8, 17, 64, 4}, {4, 65, 192, 3}} {
		for _, training := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/tokens=%d/width=%d/training=%t", bb.batch, bb.tokens, bb.width, training), func(b *testing.B) {
				s := graph.NewScope(graph.Seed(1))
				k := layers.NewBlock(s, layers.BlockConfig{
					Width: bb.width, Hidden: 4 * bb.width, Heads: bb.heads, Act: op.GELU, Eps: 1e-6, Init: graph.Normal(0.02),
				})
				prog, err := graph.Compile(func(g *graph.Builder) {
					y := k.Forward(g, g.Input("x", bb.batch, bb.tokens, bb.width), nil)
					if training {
						g.Minimize(g.Mean(g.Square(y)))
					} else {
						g.Output("y", y)
					}
				}, &graph.Options{Training: training})
				if err != nil {
					b.Fatal(err)
				}
				in := graph.Values{"x": tensor.New(tensor.WithShape(bb.batch, bb.tokens, bb.width), tensor.Of(tensor.Float32))}
				b.ReportAllocs()
				for b.Loop() {
					if err := prog.Run(in); err != nil {
						b.Fatal(err)
					}
				}
				tokens := float64(bb.batch * bb.tokens * b.N)
				b.ReportMetric(tokens/b.Elapsed().Seconds(), "tokens/s")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/tokens, "ns/token")
			})
		}
	}
}
