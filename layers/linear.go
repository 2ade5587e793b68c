package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// Linear is y = act(x Wᵀ + b).
type Linear struct {
	Weight *graph.Param // (out, in)
	Bias   *graph.Param // (out), or nil
	path   string
}

// NewLinear declares a linear layer with a bias of zeros.
func NewLinear(s graph.Scope, in, out int, weight graph.Init) *Linear {
	l := NewProjection(s, in, out, weight)
	l.Bias = s.Param("bias", graph.Zeros, out)
	return l
}

// NewProjection declares a linear layer without a bias.
func NewProjection(s graph.Scope, in, out int, weight graph.Init) *Linear {
	return &Linear{Weight: s.Param("weight", weight, out, in), path: s.Path()}
}

// Forward maps x (…, in) to (…, out).
func (l *Linear) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	return l.Activated(b, x, op.Identity)
}

// Activated is Forward followed by an activation.
func (l *Linear) Activated(b *graph.Builder, x *graph.Node, act op.Activation) *graph.Node {
	b = b.In(l.path)
	return b.Linear(x, b.Param(l.Weight), l.bias(b), act)
}

// Added is Forward plus a residual (…, out).
func (l *Linear) Added(b *graph.Builder, x, residual *graph.Node) *graph.Node {
	b = b.In(l.path)
	return b.LinearAdd(x, b.Param(l.Weight), l.bias(b), residual)
}

func (l *Linear) bias(b *graph.Builder) *graph.Node {
	if l.Bias == nil {
		return nil
	}
	return b.Param(l.Bias)
}
