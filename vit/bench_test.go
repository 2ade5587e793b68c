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
		model string
		batch int
	}{{"small32", 1}, {"small32", 128}, {"tiny192", 32}, {"ti16", 1}, {"ti16", 8}, {"b16", 1}, {"b16", 4}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", bb.model, bb.batch), func(b *testing.B) {
			benchmark(b, bb.model, bb.batch, false)
		})
	}
}

func BenchmarkGradient(b *testing.B) {
	for _, bb := range []struct {
		model string
		batch int
	}{{"small28", 128}, {"small32", 128}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", bb.model, bb.batch), func(b *testing.B) {
			benchmark(b, bb.model, bb.batch, true)
		})
	}
}

// benchConfig is a preset or tiny192: 32 pixels in patches of 4, width 192, 4
// blocks of 3 heads, 10 classes.
func benchConfig(b *testing.B, model string) Config {
	b.Helper()
	if model == "tiny192" {
		c := base(32, 4, 192, 4, 3)
		c.SetLabels(numbered(10))
		return c
	}
	c, err := Preset(model)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func benchmark(b *testing.B, model string, batch int, training bool) {
	c := benchConfig(b, model)
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
	}, &graph.Options{Training: training, Fixed: !training})
	if err != nil {
		b.Fatal(err)
	}
	if training {
		in["label"] = tensor.New(tensor.WithShape(batch, c.Classes()), tensor.Of(tensor.Float32))
	}
	if err := prog.Run(in); err != nil { // the first run touches new pages
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := prog.Run(in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
}
