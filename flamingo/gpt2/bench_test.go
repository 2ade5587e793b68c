package gpt2

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/layers/sample"
)

// benchmarked returns a model of random values: GPT-2 of 124 million parameters
// or one of a million.
func benchmarked(b *testing.B, name string) *Model {
	c := Small()
	if name == "tiny" {
		c.VocabSize, c.Width, c.Layers, c.Heads = 1000, 128, 4, 4
	}
	m, err := New(c, graph.Seed(1))
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkDecode continues a prompt of one token by the most probable ones
// until so many positions are filled.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"tiny", "small"} {
		b.Run("model="+name, func(b *testing.B) {
			m := benchmarked(b, name)
			for _, context := range []int{64, 320} {
				b.Run(fmt.Sprintf("context=%d", context), func(b *testing.B) {
					d, err := m.NewDecoder(1, context)
					if err != nil {
						b.Fatal(err)
					}
					defer d.Close()
					var greedy sample.Sampler
					next := make([]int, 1)
					prompts := [][]int{{0}}
					if _, err := d.Start(prompts); err != nil { // packs the weights
						b.Fatal(err)
					}
					b.ReportAllocs()
					for b.Loop() {
						logits, err := d.Start(prompts)
						for err == nil && d.Past() < context {
							next[0] = greedy.Next(logits, nil, nil)
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
}

// BenchmarkPrefill takes a prompt at once.
func BenchmarkPrefill(b *testing.B) {
	for _, name := range []string{"tiny", "small"} {
		b.Run("model="+name, func(b *testing.B) {
			m := benchmarked(b, name)
			for _, n := range []int{64, 320} {
				b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
					d, err := m.NewDecoder(1, n)
					if err != nil {
						b.Fatal(err)
					}
					defer d.Close()
					prompt := make([]int, n)
					for i := range prompt {
						prompt[i] = 7 * i % m.VocabSize
					}
					if _, err := d.Start([][]int{prompt}); err != nil { // compiles
						b.Fatal(err)
					}
					b.ReportAllocs()
					for b.Loop() {
						if _, err := d.Start([][]int{prompt}); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tokens/s")
				})
			}
		})
	}
}
