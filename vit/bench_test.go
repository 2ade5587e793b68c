package vit

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
)

func BenchmarkForward(b *testing.B) {
	for _, bb := range []struct {
		preset string
		batch  int
	}{{"small32", 1}, {"small32", 128}, {"ti16", 1}, {"ti16", 8}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", bb.preset, bb.batch), func(b *testing.B) {
			benchmark(b, bb.preset, bb.batch, false)
		})
	}
}

func BenchmarkGradient(b *testing.B) {
	for _, bb := range []struct {
		preset string
		batch  int
	}{{"small28", 128}, {"small32", 128}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", bb.preset, bb.batch), func(b *testing.B) {
			benchmark(b, bb.preset, bb.batch, true)
		})
	}
}

func benchmark(b *testing.B, preset string, batch int, training bool) {
	c, err := Preset(preset)
	if err != nil {
		b.Fatal(err)
	}
	m, err := New(c, graph.Seed(1))
	if err != nil {
		b.Fatal(err)
	}
	in := graph.Values{"image": random(rand.New(rand.NewPCG(1, 1)), batch, c.Channels, c.ImageSize, c.ImageSize)}
	prog, err := graph.Compile(func(g *graph.Builder) {
		if training {
			g.Minimize(m.Loss(g, batch))
			return
		}
		g.Output("logits", m.Logits(g, g.Input("image", batch, c.Channels, c.ImageSize, c.ImageSize)))
	}, &graph.Options{Training: training})
	if err != nil {
		b.Fatal(err)
	}
	if training {
		in["label"] = tensor.New(tensor.WithShape(batch, c.Classes()), tensor.Of(tensor.Float32))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := prog.Run(in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
}
