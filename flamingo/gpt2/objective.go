package gpt2

import (
	"tessera/graph"
	"tessera/graph/op"
)

// Objective is the training of a model with texts of one length.
type Objective struct {
	*Model
	Tokens int // N
}

// Loss is the mean cross-entropy of every token of the input "ids" (n, N) but
// the first, given those before it, in nats.
func (o Objective) Loss(b *graph.Builder, n int) *graph.Node {
	if o.Tokens < 2 {
		b.Fail("Loss", "texts of %d tokens, want 2 or more", o.Tokens)
	}
	ids := b.Input("ids", n, o.Tokens)
	logits := o.Logits(b, b.Slice(ids, 1, 0, o.Tokens-1))
	return b.Must(op.CrossEntropyIDs(logits, b.Slice(ids, 1, 1, o.Tokens), nil))
}
