package clip

import (
	"fmt"
	"testing"

	"tessera/graph"
)

// BenchmarkImage embeds images with random weights.
func BenchmarkImage(b *testing.B) {
	for _, preset := range []string{"b32"} {
		c, err := Preset(preset)
		if err != nil {
			b.Fatal(err)
		}
		s := graph.NewScope(graph.Seed(1))
		m := NewVision(s, c.Vision, c.ProjectionDim)
		if err := s.Err(); err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 8} {
			b.Run(fmt.Sprintf("model=%s/batch=%d", preset, n), func(b *testing.B) {
				v := c.Vision
				in := graph.Values{"image": random(1, n, v.Channels, v.ImageSize, v.ImageSize)}
				forward(b, in, func(g *graph.Builder) *graph.Node {
					return m.Embed(g, g.Input("image", n, v.Channels, v.ImageSize, v.ImageSize))
				})
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

// BenchmarkText embeds texts with random weights: of the whole context, and of
// as many tokens as a short caption has.
func BenchmarkText(b *testing.B) {
	for _, preset := range []string{"b32"} {
		c, err := Preset(preset)
		if err != nil {
			b.Fatal(err)
		}
		s := graph.NewScope(graph.Seed(1))
		m := NewText(s, c.Text, c.ProjectionDim)
		if err := s.Err(); err != nil {
			b.Fatal(err)
		}
		for _, bb := range []struct{ batch, tokens int }{{1, 77}, {8, 77}, {1, 8}, {8, 8}} {
			b.Run(fmt.Sprintf("model=%s/batch=%d/tokens=%d", preset, bb.batch, bb.tokens), func(b *testing.B) {
				texts := make([][]int, bb.batch)
				for i := range texts {
					texts[i] = make([]int, bb.tokens)
					texts[i][bb.tokens-1] = c.Text.EOS
				}
				ids, ends, err := c.Text.Texts(texts, 0)
				if err != nil {
					b.Fatal(err)
				}
				forward(b, graph.Values{"ids": ids, "ends": ends}, func(g *graph.Builder) *graph.Node {
					return m.Embed(g, g.Input("ids", bb.batch, bb.tokens), g.Input("ends", bb.batch))
				})
				b.ReportMetric(float64(bb.batch*b.N)/b.Elapsed().Seconds(), "texts/s")
			})
		}
	}
}

// forward runs a graph b.N times, and once before that.
func forward(b *testing.B, in graph.Values, build func(g *graph.Builder) *graph.Node) {
	prog, err := graph.Compile(func(g *graph.Builder) { g.Output("y", build(g)) }, &graph.Options{Fixed: true})
	if err != nil {
		b.Fatal(err)
	}
	defer prog.Close()
	if err := prog.Run(in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := prog.Run(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCached computes the gradients of a large batch in chunks.
func BenchmarkCached(b *testing.B) {
	c, err := Preset("small32")
	if err != nil {
		b.Fatal(err)
	}
	m, err := New(c, graph.Seed(1))
	if err != nil {
		b.Fatal(err)
	}
	for _, bb := range []struct{ batch, chunk int }{{256, 256}, {256, 64}, {4096, 64}} {
		b.Run(fmt.Sprintf("model=small32/batch=%d/chunk=%d", bb.batch, bb.chunk), func(b *testing.B) {
			in := pairs(b, c, bb.batch)
			cached, err := NewCached(Objective{Model: m}, bb.batch, bb.chunk, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer cached.Close()
			for b.Loop() {
				if _, err := cached.Run(in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(bb.batch*b.N)/b.Elapsed().Seconds(), "pairs/s")
			b.ReportMetric(float64(cached.Usage().Buffers)/1e6, "MB")
		})
	}
}
