package layers

import "tessera/graph"

// LayerNorm normalizes the last axis to mean 0 and variance 1, then scales and
// shifts it (arXiv:1607.06450).
type LayerNorm struct {
	Weight, Bias *graph.Param // (D)
	Eps          float64      // added to the variance
	path         string
}

// NewLayerNorm declares a norm that starts as the identity on normalized
// inputs.
func NewLayerNorm(s graph.Scope, width int, eps float64) *LayerNorm {
	return &LayerNorm{
		Weight: s.Param("weight", graph.Ones, width),
		Bias:   s.Param("bias", graph.Zeros, width),
		Eps:    eps,
		path:   s.Path(),
	}
}

// Forward keeps the shape (…, D) of x.
func (l *LayerNorm) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	b = b.In(l.path)
	return b.LayerNorm(x, b.Param(l.Weight), b.Param(l.Bias), l.Eps)
}
