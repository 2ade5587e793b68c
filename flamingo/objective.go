package flamingo

import (
	"tessera/graph"
	"tessera/graph/op"
)

// Objective is the training of a model with batches of one shape.
type Objective struct {
	*Model
	Shape Shape
}

// Loss is the mean cross-entropy of the tokens to be learned, in nats, for the
// inputs that Config.Batch makes of n sequences.
func (o Objective) Loss(b *graph.Builder, n int) *graph.Node {
	s := o.Shape
	logits := o.Logits(b, b.Input("ids", n, s.Tokens), b.Input("time", n, s.Tokens), o.latents(b, n))
	return b.Must(op.CrossEntropyIDs(logits, b.Input("target", n, s.Tokens), nil))
}

// latents are those of the inputs "patches" and, where padded, "mask".
func (o Objective) latents(b *graph.Builder, n int) *graph.Node {
	s := o.Shape
	var mask *graph.Node
	if s.Padded {
		mask = b.Input("mask", n, s.Images, s.Frames*s.Patches)
	}
	return o.Latents(b, b.Input("patches", n, s.Images, s.Frames, s.Patches, o.Vision), mask)
}
