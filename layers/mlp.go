package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// MLP is two linear layers with an activation between them.
type MLP struct {
	FC1, FC2 *Linear
	Act      op.Activation
	Dropout  float64 // probability of zeroing a hidden unit, 0 ≤ p < 1
	path     string
}

// NewMLP declares a perceptron of one hidden layer.
func NewMLP(s graph.Scope, width, hidden int, act op.Activation, dropout float64, weight graph.Init) *MLP {
	return &MLP{
		FC1:     NewLinear(s.Sub("fc1"), width, hidden, weight),
		FC2:     NewLinear(s.Sub("fc2"), hidden, width, weight),
		Act:     act,
		Dropout: dropout,
		path:    s.Path(),
	}
}

// Forward keeps the shape (…, D) of x.
func (m *MLP) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	return m.FC2.Forward(b.In(m.path), m.HiddenUnits(b, x))
}

// HiddenUnits is Forward without the second layer: (…, hidden).
func (m *MLP) HiddenUnits(b *graph.Builder, x *graph.Node) *graph.Node {
	b = b.In(m.path)
	return b.Dropout(m.FC1.Activated(b, x, m.Act), m.Dropout)
}
