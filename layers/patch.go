package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// Patches projects the patches of an image to tokens: a convolution whose
// stride is its kernel's size (arXiv:2010.11929).
type Patches struct {
	Weight *graph.Param // (D, C, P, P)
	Bias   *graph.Param // (D), or nil
	path   string
}

// NewPatches declares a patch projection with a bias of zeros.
func NewPatches(s graph.Scope, channels, patch, width int, weight graph.Init) *Patches {
	return &Patches{
		Weight: s.Param("weight", weight, width, channels, patch, patch),
		Bias:   s.Param("bias", graph.Zeros, width),
		path:   s.Path(),
	}
}

// Forward maps images (B, C, S, S) to tokens (B, N, D), rows of patches from
// the top.
func (p *Patches) Forward(b *graph.Builder, images *graph.Node) *graph.Node {
	b = b.In(p.path)
	s := p.Weight.Shape() // (D, C, P, P)
	w := b.Reshape(b.Param(p.Weight), s[0], s[1]*s[2]*s[3])
	var bias *graph.Node
	if p.Bias != nil {
		bias = b.Param(p.Bias)
	}
	return b.Linear(b.Patches(images, s[2]), w, bias, op.Identity)
}
