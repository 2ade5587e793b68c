package dalle

import (
	"fmt"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/layers/sample"
)

// benchmarked returns a model of random values for grids of 16×16 tokens.
func benchmarked(b *testing.B) *Model {
	c := Small()
	c.ImageTokens, c.ImageVocab, c.Width = 256, 512, 128
	m, err := New(c, graph.Seed(1))
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkGenerate draws images of 256 tokens, with cached keys and values or
// by a pass over all that is known, for every token, whose programs are made
// beforehand.
func BenchmarkGenerate(b *testing.B) {
	m := benchmarked(b)
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("cached/batch=%d", n), func(b *testing.B) { benchCached(b, m, n) })
	}
	b.Run("uncached/batch=1", func(b *testing.B) { benchUncached(b, m) })
}

func benchCached(b *testing.B, m *Model, n int) {
	d, err := m.NewDecoder(n)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	text := make([][]int, n)
	for i := range text {
		text[i] = []int{1, 2, 3, 4, 5, 6, 7, 8}
	}
	o := GenerateOptions{Sampler: sample.Sampler{Temperature: 1, TopK: 100}}
	draw := func() {
		if _, err := d.generate(b.Context(), text, o); err != nil {
			b.Fatal(err)
		}
	}
	draw() // compiles, and packs weights
	b.ReportAllocs()
	for b.Loop() {
		draw()
	}
	b.ReportMetric(float64(n*m.ImageTokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

func benchUncached(b *testing.B, m *Model) {
	programs := make([]*graph.Program, m.ImageTokens)
	in := make([]graph.Values, m.ImageTokens)
	for n := range programs {
		prog, err := graph.Compile(func(b *graph.Builder) { b.Output("logits", m.prefixLogits(b, n)) }, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer prog.Close()
		programs[n] = prog
		in[n] = graph.Values{"text": tensor.New(tensor.WithShape(1, m.TextTokens), tensor.Of(tensor.Float32))}
		if n > 0 {
			in[n]["image"] = tensor.New(tensor.WithShape(1, n), tensor.Of(tensor.Float32))
		}
	}
	s := sample.Sampler{Temperature: 0}
	for b.Loop() {
		ids := make([]float32, 0, m.ImageTokens)
		for n, prog := range programs {
			if n > 0 {
				copy(in[n]["image"].Float32s(), ids)
			}
			if err := prog.Run(in[n]); err != nil {
				b.Fatal(err)
			}
			ids = append(ids, float32(s.Next(prog.Output("logits").Float32s(), nil, nil)))
		}
	}
	b.ReportMetric(float64(m.ImageTokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// prefixLogits are the scores (1, V) of the token that follows a text and n
// image tokens.
func (m *Model) prefixLogits(b *graph.Builder, n int) *graph.Node {
	text := b.Input("text", 1, m.TextTokens)
	x := m.embedText(b, text)
	if n > 0 {
		x = b.Concat(1, x, m.embedImage(b, b.Input("image", 1, n), b.Const(upTo(n), n)))
	}
	L := m.sequence()
	seen := m.TextTokens + n
	mask := b.Slice(b.Slice(m.mask(b, text), 1, 0, seen), 2, 0, seen)
	b.Expect(mask, 1, min(seen, L), min(seen, L))
	for _, k := range m.Blocks {
		x = k.Forward(b, x, mask)
	}
	return m.Head.Forward(b, m.Norm.Forward(b, b.At(x, 1, seen-1)))
}
