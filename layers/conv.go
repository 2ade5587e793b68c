package layers

import "tessera/graph"

// Conv2D slides filters over images.
type Conv2D struct {
	Weight          *graph.Param // (O, C, K, K)
	Bias            *graph.Param // (O)
	Stride, Padding int
	path            string
}

// NewConv2D declares a convolution by filters of k×k pixels, initialized as
// PyTorch does.
func NewConv2D(s graph.Scope, in, out, k, stride, padding int) *Conv2D {
	init := graph.KaimingUniform(in * k * k)
	return &Conv2D{
		Weight: s.Param("weight", init, out, in, k, k),
		Bias:   s.Param("bias", init, out),
		Stride: stride, Padding: padding, path: s.Path(),
	}
}

// Forward maps images (B, C, H, W) to (B, O, OH, OW).
func (l *Conv2D) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	b = b.In(l.path)
	return b.Conv2D(x, b.Param(l.Weight), b.Param(l.Bias), l.Stride, l.Padding)
}

// ConvTranspose2D is the transpose of a convolution, which enlarges images.
type ConvTranspose2D struct {
	Weight          *graph.Param // (C, O, K, K)
	Bias            *graph.Param // (O)
	Stride, Padding int
	path            string
}

// NewConvTranspose2D declares a transposed convolution by filters of k×k pixels,
// initialized as PyTorch does.
func NewConvTranspose2D(s graph.Scope, in, out, k, stride, padding int) *ConvTranspose2D {
	init := graph.KaimingUniform(out * k * k)
	return &ConvTranspose2D{
		Weight: s.Param("weight", init, in, out, k, k),
		Bias:   s.Param("bias", init, out),
		Stride: stride, Padding: padding, path: s.Path(),
	}
}

// Forward maps images (B, C, H, W) to (B, O, (H−1)·stride−2·padding+K, …).
func (l *ConvTranspose2D) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	b = b.In(l.path)
	return b.ConvTranspose2D(x, b.Param(l.Weight), b.Param(l.Bias), l.Stride, l.Padding, 0)
}
