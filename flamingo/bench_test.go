package flamingo

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/layers/sample"
)

// BenchmarkDecode looks at an image of 196 patches and then continues
// "<image>" by the most probable tokens until so many positions are filled: with
// GPT-2 small, a tower of width 768, the published resampler and cross-attention
// before every other block.
func BenchmarkDecode(b *testing.B) {
	b.Run("model=small", func(b *testing.B) {
		c := For(gpt2.Small(), 768)
		c.Every = 2
		m, err := New(c, graph.Seed(1))
		if err != nil {
			b.Fatal(err)
		}
		prompt := []Sequence{{IDs: []int{c.Media}, Images: []Image{picture(rand.New(rand.NewPCG(1, 1)), c, 1, 196)}}}
		for _, context := range []int{64, 320} {
			b.Run(fmt.Sprintf("context=%d", context), func(b *testing.B) {
				d, err := m.NewDecoder(1, 1, context)
				if err != nil {
					b.Fatal(err)
				}
				defer d.Close()
				if _, err := d.Start(prompt); err != nil { // packs the weights
					b.Fatal(err)
				}
				var greedy sample.Sampler
				next := make([]int, 1)
				b.ReportAllocs()
				for b.Loop() {
					logits, err := d.Start(prompt)
					for err == nil && d.Past() < context {
						next[0] = greedy.Next(logits[:c.Text.VocabSize], nil, nil)
						logits, err = d.Next(next)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(context*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	})
}
