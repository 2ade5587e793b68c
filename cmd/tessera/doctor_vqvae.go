package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"tessera/graph"
	"tessera/vqvae"
)

func (e *examination) vqvae() {
	m, err := vqvae.Load(e.dir)
	if err != nil {
		e.unreadable(err)
		return
	}
	e.decay(m.Params())
	if !e.weights(m.Params()) {
		return
	}
	e.codes(m)
	const check = "straight-through gradient"
	if kind := m.Config.Quantizer; kind == vqvae.Gumbel || kind == vqvae.FSQ {
		e.skip(check, "codes of kind %q have a gradient of their own", kind)
		return
	}
	z, err := encoded(m, e.rng())
	fault := ""
	if err == nil {
		fault, err = straightThrough(z, m.EmbeddingDim, quantizing{
			codes: func(b *graph.Builder, z *graph.Node) *graph.Node { return m.Quantizer.Forward(b, z).Codes },
			draw:  m.Draw,
		})
	}
	e.judge(check, "that at the encoder's output is that at the decoder's input, bit for bit", "pass it on as z + stop(codes − z)", fault, err)
}

// codes looks for codes that nothing is assigned to.
func (e *examination) codes(m *vqvae.Model) {
	const check = "dead codes"
	const advice = "restart them (dead_code_share), or take fewer codes"
	K, D := m.NumEmbeddings, m.EmbeddingDim
	if counts := m.Params().Get("vq.cluster_size"); counts != nil {
		total := 0.0
		for _, n := range counts.Float32s() {
			total += float64(n)
		}
		if total == 0 {
			e.skip(check, "the codebook was never trained")
			return
		}
		dead, share := 0, max(m.Dead, 0.01)
		for _, n := range counts.Float32s() {
			if float64(n) < share*total/float64(K) {
				dead++
			}
		}
		if dead > K/10 {
			e.warn(check, advice, "%d of %d are used less than %g times as often as the mean", dead, K, share)
		} else {
			e.ok(check, "%d of %d are used less than %g times as often as the mean", dead, K, share)
		}
		return
	}
	table := m.Params().Get("vq.embedding.weight")
	if table == nil {
		e.skip(check, "codes are not learned")
		return
	}
	seen, dead := map[string]bool{}, 0
	for row := range slices.Chunk(table.Float32s(), D) {
		key := fmt.Sprint(row)
		if seen[key] || rowIsZero(row) {
			dead++
		}
		seen[key] = true
	}
	if dead > 0 {
		e.warn(check, advice, "%d of %d are zero or repeat another", dead, K)
		return
	}
	e.ok(check, "%d codes, none zero, none twice; which are used, data tell", K)
}

// quantizing is what stands between encoder and decoder, and the decoder.
type quantizing struct {
	codes func(b *graph.Builder, z *graph.Node) *graph.Node // (N, D) to (N, D)
	draw  func(b *graph.Builder, codes *graph.Node) *graph.Node
}

// encoded is what the encoder makes of a random image: (N·D).
func encoded(m *vqvae.Model, rng *rand.Rand) ([]float32, error) {
	image := make([]float32, m.Channels*m.ImageSize*m.ImageSize)
	lo, hi := m.PixelRange[0], m.PixelRange[1]
	for i := range image {
		image[i] = float32(lo + (hi-lo)*rng.Float64())
	}
	rows, err := imageRows(image, m.Channels, m.ImageSize, func(b *graph.Builder, x *graph.Node) *graph.Node {
		return b.Transpose(m.Encoder.Forward(b, x), 0, 2, 3, 1)
	})
	return slices.Concat(rows...), err
}

// straightThrough compares the gradients of the image's energy at z and at its
// codes, which must be equal where quantizing passes gradients on.
func straightThrough(z []float32, width int, q quantizing) (fault string, err error) {
	shape := []int{len(z) / width, width}
	leaf := func(v []float32) *graph.Param {
		s := graph.NewScope(graph.Seed(0))
		return s.Param("z", func(_ *rand.Rand, dst []float32) { copy(dst, v) }, shape...)
	}
	run := func(at *graph.Param, codes func(b *graph.Builder, z *graph.Node) *graph.Node) (values, grad []float32, err error) {
		p, err := newProbe(func(b *graph.Builder) {
			c := codes(b, b.Param(at))
			b.Output("codes", c)
			b.Minimize(b.Mean(b.Square(q.draw(b, c))))
		}, nil)
		if err != nil {
			return nil, nil, err
		}
		defer p.Close()
		rows, err := p.run(graph.Values{}, "codes")
		if err != nil {
			return nil, nil, err
		}
		for _, g := range p.Grads() {
			if g.Param == at {
				grad = slices.Clone(g.Value.Float32s())
			}
		}
		return slices.Concat(rows...), grad, nil
	}
	codes, atEncoder, err := run(leaf(z), q.codes)
	if err != nil {
		return "", err
	}
	_, atDecoder, err := run(leaf(codes), func(_ *graph.Builder, c *graph.Node) *graph.Node { return c })
	if err != nil {
		return "", err
	}
	switch {
	case rowIsZero(atDecoder):
		return "the decoder has no gradient: it does not depend on its codes", nil
	case rowIsZero(atEncoder):
		return "the encoder gets no gradient", nil
	}
	for i := range atEncoder {
		if atEncoder[i] != atDecoder[i] {
			return fmt.Sprintf("element %d is %g at the encoder's output, %g at the decoder's input", i, atEncoder[i], atDecoder[i]), nil
		}
	}
	return "", nil
}
