package graph

import (
	"tessera/graph/op"
)

// The methods below are the operations of package op with errors carried by
// the builder. Shapes and failures are documented there.

// Add gives x + y with broadcasting.
func (b *Builder) Add(x, y *Node) *Node { return b.call("Add", x, y).node(op.Add(x, y)) }

// Sub gives x − y with broadcasting.
func (b *Builder) Sub(x, y *Node) *Node { return b.call("Sub", x, y).node(op.Sub(x, y)) }

// Mul gives the elementwise product with broadcasting.
func (b *Builder) Mul(x, y *Node) *Node { return b.call("Mul", x, y).node(op.Mul(x, y)) }

// Div gives x / y with broadcasting.
func (b *Builder) Div(x, y *Node) *Node { return b.call("Div", x, y).node(op.Div(x, y)) }

// Scale gives c·x.
func (b *Builder) Scale(x *Node, c float64) *Node { return b.call("Scale", x).node(op.Scale(x, c)) }

// Shift gives x + c.
func (b *Builder) Shift(x *Node, c float64) *Node { return b.call("Shift", x).node(op.Shift(x, c)) }

// Exp gives eˣ.
func (b *Builder) Exp(x *Node) *Node { return b.call("Exp", x).node(op.Exp(x)) }

// Log gives the natural logarithm.
func (b *Builder) Log(x *Node) *Node { return b.call("Log", x).node(op.Log(x)) }

// Square gives x².
func (b *Builder) Square(x *Node) *Node { return b.call("Square", x).node(op.Square(x)) }

// Inner gives Σ xᵢ yᵢ, shape (1).
func (b *Builder) Inner(x, y *Node) *Node { return b.call("Inner", x, y).node(op.Inner(x, y)) }

// Sum adds up over axes, all of them if none is given.
func (b *Builder) Sum(x *Node, axes ...int) *Node {
	return b.call("Sum", x).node(op.Sum(x, false, axes...))
}

// Mean averages over axes, all of them if none is given.
func (b *Builder) Mean(x *Node, axes ...int) *Node {
	return b.call("Mean", x).node(op.Mean(x, false, axes...))
}

// Linear maps x (…, K) by weight (N, K) and bias (N) or nil to (…, N), followed
// by an activation.
func (b *Builder) Linear(x, weight, bias *Node, act op.Activation) *Node {
	return b.linear(x, weight, bias, op.LinearConfig{Act: act})
}

// LinearAdd is Linear without an activation plus residual (…, N).
func (b *Builder) LinearAdd(x, weight, bias, residual *Node) *Node {
	return b.linear(x, weight, bias, op.LinearConfig{Residual: residual})
}

func (b *Builder) linear(x, weight, bias *Node, c op.LinearConfig) *Node {
	c.Fixed = b.constant(weight)
	return b.call("Linear", x, weight).node(op.Linear(x, weight, bias, c))
}

// MatMul multiplies (…, M, K) by (…, K, N) or (K, N).
func (b *Builder) MatMul(x, y *Node) *Node {
	return b.call("MatMul", x, y).node(op.MatMul(x, y, false, false))
}

// MatMulT multiplies (…, M, K) by the transpose of (…, N, K) or (N, K).
func (b *Builder) MatMulT(x, y *Node) *Node {
	return b.call("MatMulT", x, y).node(op.MatMul(x, y, false, true))
}

// Activate applies an activation function elementwise.
func (b *Builder) Activate(x *Node, act op.Activation) *Node {
	return b.call(act.String(), x).node(op.Activate(x, act))
}

// LeakyReLU gives x for x > 0, else slope·x.
func (b *Builder) LeakyReLU(x *Node, slope float64) *Node {
	return b.call("LeakyReLU", x).node(op.LeakyReLU(x, slope))
}

// Softmax normalizes over the last axis.
func (b *Builder) Softmax(x *Node) *Node { return b.call("Softmax", x).node(op.Softmax(x, nil)) }

// LayerNorm normalizes over the last axis.
func (b *Builder) LayerNorm(x, weight, bias *Node, eps float64) *Node {
	return b.call("LayerNorm", x, weight).node(op.LayerNorm(x, weight, bias, eps))
}

// L2Normalize gives the last axis unit length.
func (b *Builder) L2Normalize(x *Node, eps float64) *Node {
	return b.call("L2Normalize", x).node(op.L2Normalize(x, eps))
}

// AttentionConfig says how attention is computed; see op.AttentionConfig.
type AttentionConfig struct {
	Heads   int
	Dropout float64 // of probabilities, in training
}

// Attention is scaled dot-product attention of queries (B, N, D) to keys and
// values (B, M, D) with an additive mask or nil.
func (b *Builder) Attention(q, k, v, mask *Node, c AttentionConfig) *Node {
	oc := op.AttentionConfig{Heads: c.Heads}
	if b.training && c.Dropout > 0 {
		oc.Dropout, oc.Noise, oc.Stream = c.Dropout, b.noise, b.stream()
	}
	return b.call("Attention", q, k, v).node(op.Attention(q, k, v, mask, oc))
}

// AttentionWeights gives the probabilities (B, H, N, M) of Attention.
func (b *Builder) AttentionWeights(q, k, mask *Node, c AttentionConfig) *Node {
	return b.call("AttentionWeights", q, k).node(op.AttentionWeights(q, k, mask, op.AttentionConfig{Heads: c.Heads}))
}

// Dropout zeroes elements with probability p in training (arXiv:1207.0580).
func (b *Builder) Dropout(x *Node, p float64) *Node {
	if !b.training || p == 0 {
		return x
	}
	return b.call("Dropout", x).node(op.Dropout(x, p, b.noise, b.stream()))
}

// DropPath zeroes whole examples with probability p in training
// (arXiv:1603.09382).
func (b *Builder) DropPath(x *Node, p float64) *Node {
	if !b.training || p == 0 {
		return x
	}
	return b.call("DropPath", x).node(op.DropPath(x, p, b.noise, b.stream()))
}

// Reshape copies x into another shape of equal size.
func (b *Builder) Reshape(x *Node, shape ...int) *Node {
	return b.call("Reshape", x).node(op.Reshape(x, shape...))
}

// Transpose permutes the axes.
func (b *Builder) Transpose(x *Node, axes ...int) *Node {
	return b.call("Transpose", x).node(op.Transpose(x, axes...))
}

// Concat joins nodes along an axis.
func (b *Builder) Concat(axis int, xs ...*Node) *Node {
	return b.call("Concat", xs...).node(op.Concat(axis, xs...))
}

// Slice takes the positions lo to hi−1 of an axis.
func (b *Builder) Slice(x *Node, axis, lo, hi int) *Node {
	return b.call("Slice", x).node(op.Slice(x, axis, lo, hi))
}

// At takes position i of an axis, which disappears.
func (b *Builder) At(x *Node, axis, i int) *Node {
	y := b.Slice(x, axis, i, i+1)
	s := append(append([]int{}, x.Shape()[:axis]...), x.Shape()[axis+1:]...)
	if len(s) == 0 {
		s = []int{1}
	}
	return b.Reshape(y, s...)
}

// Expand broadcasts x to a larger shape.
func (b *Builder) Expand(x *Node, shape ...int) *Node {
	return b.call("Expand", x).node(op.Expand(x, shape...))
}

// Gather picks rows of table (V, D) by ids, giving (…, D).
func (b *Builder) Gather(table, ids *Node) *Node {
	return b.call("Gather", table, ids).node(op.Gather(table, ids))
}

// Patches cuts images (B, C, H, W) into (B, N, C·p·p), rows of patches from the
// top.
func (b *Builder) Patches(x *Node, p int) *Node {
	return b.call("Patches", x).node(op.Patches(x, p))
}

// Conv2D convolves x (B, C, H, W) by w (O, C, K, K).
func (b *Builder) Conv2D(x, w, bias *Node, stride, padding int) *Node {
	return b.call("Conv2D", x, w).node(op.Conv2D(x, w, bias, stride, padding))
}

// ConvTranspose2D is the transposed convolution of x (B, C, H, W) by w
// (C, O, K, K).
func (b *Builder) ConvTranspose2D(x, w, bias *Node, stride, padding, outputPadding int) *Node {
	return b.call("ConvTranspose2D", x, w).node(op.ConvTranspose2D(x, w, bias, stride, padding, outputPadding))
}

// BatchNorm normalizes channels (arXiv:1502.03167). In training it uses the
// statistics of the batch and updates the running ones, which must be frozen.
func (b *Builder) BatchNorm(x *Node, weight, bias, mean, variance *Param, momentum, eps float64) *Node {
	y, m, v, err := op.BatchNorm(x, b.Param(weight), b.Param(bias), b.Param(mean), b.Param(variance), momentum, eps, b.training)
	y = b.call("BatchNorm", x).node(y, err)
	if b.training {
		b.Update(mean, m)
		b.Update(variance, v)
	}
	return y
}

// CrossEntropy is the mean cross-entropy of logits (N, C) against
// probabilities (N, C); rows of zeros are ignored.
func (b *Builder) CrossEntropy(logits, target *Node) *Node {
	return b.call("CrossEntropy", logits, target).node(op.CrossEntropy(logits, target))
}

// Accuracy is the share of rows of logits (N, C) whose largest entry is that
// of target.
func (b *Builder) Accuracy(logits, target *Node) *Node {
	return b.call("Accuracy", logits, target).node(op.Accuracy(logits, target))
}

// StopGradient passes x on and no gradient back.
func (b *Builder) StopGradient(x *Node) *Node {
	return b.call("StopGradient", x).node(op.StopGradient(x))
}

// StraightThrough has the value of y and passes its gradient to x
// (arXiv:1308.3432).
func (b *Builder) StraightThrough(x, y *Node) *Node {
	return b.call("StraightThrough", x, y).node(op.StraightThrough(x, y))
}
