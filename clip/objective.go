package clip

import "tessera/graph"

// Objective is a model in contrastive training: InfoNCE, or the sigmoid loss
// where the model has a logit bias. Clamp follows its steps.
type Objective struct {
	*Model
	Length int // tokens of the ids of a batch; 0: the context
	// Labels says that a batch has an input "label" (n), whole numbers, and
	// that images and texts of the same label belong together, as they do
	// where a batch repeats a caption.
	Labels bool
}

// Loss is the loss over all pairs of the inputs "image" (n, C, S, S) and "ids"
// (n, L) with end tokens at "ends" (n). The output "accuracy" is the share of
// images to which a text that belongs to them is closest, "text_accuracy" that
// of texts.
func (o Objective) Loss(b *graph.Builder, n int) *graph.Node {
	images, texts := o.embed(b, n)
	match := Pairs(b, n)
	if o.Labels {
		labels := b.Input("label", n)
		match = Matches(b, labels, labels)
	}
	logits := o.Logits(b, images, texts)
	b.Output("accuracy", hits(b, logits, match))
	b.Output("text_accuracy", hits(b, b.Transpose(logits, 1, 0), match))
	return o.loss(b, logits, match)
}

// embed declares the inputs of n pairs and embeds them.
func (o Objective) embed(b *graph.Builder, n int) (images, texts *graph.Node) {
	v := o.Config.Vision
	images = o.EncodeImage(b, b.Input("image", n, v.Channels, v.ImageSize, v.ImageSize))
	texts = o.EncodeText(b, b.Input("ids", n, o.length()), b.Input("ends", n))
	return images, texts
}

func (o Objective) length() int {
	if o.Length == 0 {
		return o.Config.Text.Context
	}
	return o.Length
}

// loss chooses the loss; match is symmetric.
func (o Objective) loss(b *graph.Builder, logits, match *graph.Node) *graph.Node {
	if o.LogitBias != nil {
		return SigLIP(b, logits, match)
	}
	return InfoNCE(b, logits, Shares(b, match))
}

// hits is the share of rows of logits (n, m) whose largest entry is a match.
func hits(b *graph.Builder, logits, match *graph.Node) *graph.Node {
	// The largest of the matches, which are lifted above all others: where it
	// is the largest entry of the row, both are found at one place.
	among := b.Mul(match, b.Shift(b.Softmax(logits), 1))
	return b.Accuracy(logits, among)
}
