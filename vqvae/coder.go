package vqvae

import (
	"tessera/graph"
	"tessera/layers"
)

// stage is a convolution that halves or doubles the image, normalized and
// rectified.
type stage struct {
	conv interface {
		Forward(b *graph.Builder, x *graph.Node) *graph.Node
	}
	norm  *layers.BatchNorm
	slope float64
}

func (s stage) forward(b *graph.Builder, x *graph.Node) *graph.Node {
	return s.norm.Rectified(b, s.conv.Forward(b, x), s.slope)
}

// residual is x + W₂ f(W₁ x), W₁ a convolution by 3×3 pixels and W₂ by one, as in
// the paper.
type residual struct {
	inner stage
	outer *layers.Conv2D
}

func newResiduals(s graph.Scope, c Config, width int) []residual {
	rs := make([]residual, c.ResidualBlocks)
	for i := range rs {
		s := s.Sub("residual", i)
		rs[i] = residual{
			inner: stage{layers.NewConv2D(s.Sub("0"), width, width, 3, 1, 1), newNorm(s.Sub("1"), c, width), c.Slope},
			outer: layers.NewConv2D(s.Sub("2"), width, width, 1, 1, 0),
		}
	}
	return rs
}

func (r residual) forward(b *graph.Builder, x *graph.Node) *graph.Node {
	return b.Add(x, r.outer.Forward(b, r.inner.forward(b, x)))
}

func newNorm(s graph.Scope, c Config, width int) *layers.BatchNorm {
	return layers.NewBatchNorm(s, width, c.Momentum, c.Eps)
}

// Encoder halves an image once for each of the hidden sizes.
type Encoder struct {
	stages    []stage
	residuals []residual
	head      *layers.Conv2D
}

func newEncoder(s graph.Scope, c Config) *Encoder {
	e := &Encoder{}
	in := c.Channels
	for i, width := range c.HiddenDims {
		s := s.Sub(i)
		e.stages = append(e.stages, stage{layers.NewConv2D(s.Sub("0"), in, width, 4, 2, 1), newNorm(s.Sub("1"), c, width), c.Slope})
		in = width
	}
	e.residuals = newResiduals(s, c, in)
	e.head = layers.NewConv2D(s.Sub(len(c.HiddenDims)), in, c.EmbeddingDim, 1, 1, 0)
	return e
}

// Forward maps images (B, C, S, S) to (B, D, G, G).
func (e *Encoder) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	for _, s := range e.stages {
		x = s.forward(b, x)
	}
	for _, r := range e.residuals {
		x = r.forward(b, x)
	}
	return e.head.Forward(b, x)
}

// Decoder mirrors the encoder.
type Decoder struct {
	stem      *layers.Conv2D
	residuals []residual
	stages    []stage
	head      *layers.ConvTranspose2D
}

func newDecoder(s graph.Scope, c Config) *Decoder {
	last := len(c.HiddenDims) - 1
	in := c.HiddenDims[last]
	d := &Decoder{
		stem:      layers.NewConv2D(s.Sub("0"), c.EmbeddingDim, in, 1, 1, 0),
		residuals: newResiduals(s, c, in),
	}
	for i := last - 1; i >= 0; i-- {
		s, width := s.Sub(last-i), c.HiddenDims[i]
		d.stages = append(d.stages, stage{layers.NewConvTranspose2D(s.Sub("0"), in, width, 4, 2, 1), newNorm(s.Sub("1"), c, width), c.Slope})
		in = width
	}
	d.head = layers.NewConvTranspose2D(s.Sub(last+1), in, c.Channels, 4, 2, 1)
	return d
}

// Forward maps (B, D, G, G) to images (B, C, S, S).
func (d *Decoder) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	x = d.stem.Forward(b, x)
	for _, r := range d.residuals {
		x = r.forward(b, x)
	}
	for _, s := range d.stages {
		x = s.forward(b, x)
	}
	return d.head.Forward(b, x)
}
