package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// Embedding maps ids to learned rows of a table.
type Embedding struct {
	Weight *graph.Param // (V, D)
	path   string
}

// NewEmbedding declares a table of vocabulary rows.
func NewEmbedding(s graph.Scope, vocabulary, width int, weight graph.Init) *Embedding {
	return &Embedding{Weight: s.Param("weight", weight, vocabulary, width), path: s.Path()}
}

// Forward maps ids (…), whole numbers in [0, V), to their rows (…, D).
func (e *Embedding) Forward(b *graph.Builder, ids *graph.Node) *graph.Node {
	b = b.In(e.path)
	return b.Gather(b.Param(e.Weight), ids)
}

// Logits maps x (…, D) to its products with all rows (…, V): an output head
// tied to the table (arXiv:1608.05859).
func (e *Embedding) Logits(b *graph.Builder, x *graph.Node) *graph.Node {
	b = b.In(e.path)
	return b.Linear(x, b.Param(e.Weight), nil, op.Identity)
}
