package flamingo

import (
	"fmt"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// eps is that of all norms around the language model: PyTorch's default.
const eps = 1e-5

// Resampler turns any number of patches into a fixed number of latents: the
// Perceiver resampler (arXiv:2204.14198, 2.1 and appendix A.1.1).
type Resampler struct {
	Latents *graph.Param // (n, E)
	Frames  *graph.Param // (F, E), added to the patches of each frame; nil: none
	Times   *graph.Param // (T, 1, E), added to the patches of each image; nil: none
	Blocks  []*resamplerBlock
	Norm    *layers.LayerNorm
	path    string
}

type resamplerBlock struct {
	attn *resamplerAttention
	ff   *feedForward
}

func newResampler(s graph.Scope, c ResamplerConfig, width int) *Resampler {
	r := &Resampler{Latents: s.Param("latents", graph.Normal(1), c.Latents, width), path: s.Path()}
	if c.MaxFrames > 0 {
		r.Frames = s.Param("frame_embs", graph.Normal(1), c.MaxFrames, width)
	}
	if c.MaxImages > 0 {
		r.Times = s.Param("media_time_embs", graph.Normal(1), c.MaxImages, 1, width)
	}
	for i := range c.Depth {
		at := s.Sub("layers", i)
		r.Blocks = append(r.Blocks, &resamplerBlock{
			attn: newResamplerAttention(at.Sub(0), c, width),
			ff:   newFeedForward(at.Sub(1), width, c.Mult),
		})
	}
	r.Norm = layers.NewLayerNorm(s.Sub("norm"), width, eps)
	return r
}

// Forward maps patches (B, T, F, N, E) of images to latents (B, T, n, E). mask,
// which may be nil, is added to the scores of patches: (B, T, F·N), −∞ for those
// that pad an image.
func (r *Resampler) Forward(b *graph.Builder, x, mask *graph.Node) *graph.Node {
	b = b.In(r.path)
	n, E := r.Latents.Shape()[0], r.Latents.Shape()[1]
	b.Expect(x, -1, -1, -1, -1, E)
	s := x.Shape()
	B, T, F, N := s[0], s[1], s[2], s[3]
	if r.Frames != nil {
		x = b.Add(x, b.Reshape(r.first(b, r.Frames, F, "frames of an image"), F, 1, E))
	}
	x = b.Reshape(x, B, T, F*N, E)
	if r.Times != nil {
		x = b.Add(x, r.first(b, r.Times, T, "images of a text"))
	}
	x = b.Reshape(x, B*T, F*N, E)
	if mask != nil {
		b.Expect(mask, B, T, F*N)
		mask = b.Concat(2, b.Reshape(mask, B*T, 1, F*N), b.Const(make([]float64, B*T*n), B*T, 1, n))
	}
	latents := b.Expand(b.Param(r.Latents), B*T, n, E)
	for i, k := range r.Blocks {
		latents = b.Add(latents, k.attn.forward(b, x, latents, mask))
		latents = b.Add(latents, k.ff.forward(b, latents))
		b.Trace(fmt.Sprint("layer.", i), latents)
	}
	return b.Reshape(r.Norm.Forward(b, latents), B, T, n, E)
}

// first are the first count of the vectors that tell things apart.
func (r *Resampler) first(b *graph.Builder, p *graph.Param, count int, what string) *graph.Node {
	if most := p.Shape()[0]; count > most {
		b.Fail("Resampler", "%d %s, want at most %d", count, what, most)
	}
	return b.Slice(b.Param(p), 0, 0, count)
}

// resamplerAttention lets latents attend to patches and to themselves at once.
type resamplerAttention struct {
	normMedia, normLatents *layers.LayerNorm
	query, keyValue, out   *layers.Linear
	heads                  int
}

func newResamplerAttention(s graph.Scope, c ResamplerConfig, width int) *resamplerAttention {
	inner := c.Heads * c.HeadWidth
	return &resamplerAttention{
		normMedia:   layers.NewLayerNorm(s.Sub("norm_media"), width, eps),
		normLatents: layers.NewLayerNorm(s.Sub("norm_latents"), width, eps),
		query:       projection(s.Sub("to_q"), width, inner),
		keyValue:    projection(s.Sub("to_kv"), width, 2*inner),
		out:         projection(s.Sub("to_out"), inner, width),
		heads:       c.Heads,
	}
}

// forward maps patches (B·T, F·N, E) and latents (B·T, n, E) to (B·T, n, E).
func (a *resamplerAttention) forward(b *graph.Builder, x, latents, mask *graph.Node) *graph.Node {
	x, latents = a.normMedia.Forward(b, x), a.normLatents.Forward(b, latents)
	k, v := halves(b, a.keyValue.Forward(b, b.Concat(1, x, latents)))
	return a.out.Forward(b, b.Attention(a.query.Forward(b, latents), k, v, mask, graph.AttentionConfig{Heads: a.heads}))
}

// feedForward is a pre-norm perceptron without biases.
type feedForward struct {
	norm     *layers.LayerNorm
	fc1, fc2 *layers.Linear
}

// The numbers of its layers are their places in a PyTorch Sequential.
func newFeedForward(s graph.Scope, width, mult int) *feedForward {
	return &feedForward{
		norm: layers.NewLayerNorm(s.Sub(0), width, eps),
		fc1:  projection(s.Sub(1), width, mult*width),
		fc2:  projection(s.Sub(3), mult*width, width),
	}
}

func (f *feedForward) forward(b *graph.Builder, x *graph.Node) *graph.Node {
	return f.fc2.Forward(b, f.fc1.Activated(b, f.norm.Forward(b, x), op.GELU))
}

// projection is a linear layer without a bias, initialized as PyTorch's.
func projection(s graph.Scope, in, out int) *layers.Linear {
	return layers.NewProjection(s, in, out, graph.KaimingUniform(in))
}

// halves cuts the last axis of x (B, N, 2·K) in two.
func halves(b *graph.Builder, x *graph.Node) (first, second *graph.Node) {
	n := x.Shape()[2]
	return b.Slice(x, 2, 0, n/2), b.Slice(x, 2, n/2, n)
}
