package layers

import (
	"tessera/graph"
	"tessera/graph/op"
)

// BatchNorm normalizes each channel by the statistics of the batch in training,
// and by running ones in evaluation (arXiv:1502.03167).
type BatchNorm struct {
	Weight, Bias   *graph.Param // (C)
	Mean, Variance *graph.Param // (C), running, frozen
	Momentum       float64      // share of the batch in new running statistics
	Eps            float64      // added to the variance
	path           string
}

// NewBatchNorm declares a norm that starts as the identity on normalized
// channels.
func NewBatchNorm(s graph.Scope, channels int, momentum, eps float64) *BatchNorm {
	return &BatchNorm{
		Weight:   s.Param("weight", graph.Ones, channels),
		Bias:     s.Param("bias", graph.Zeros, channels),
		Mean:     s.Frozen().Param("running_mean", graph.Zeros, channels),
		Variance: s.Frozen().Param("running_var", graph.Ones, channels),
		Momentum: momentum, Eps: eps, path: s.Path(),
	}
}

// Forward keeps the shape (B, C, H, W) or (B, C) of x.
func (l *BatchNorm) Forward(b *graph.Builder, x *graph.Node) *graph.Node {
	return l.Rectified(b, x, 1)
}

// Rectified is Forward followed by LeakyReLU with a slope of 0 to 1.
func (l *BatchNorm) Rectified(b *graph.Builder, x *graph.Node, slope float64) *graph.Node {
	b = b.In(l.path)
	y, mean, variance, err := op.BatchNormLeakyReLU(x, b.Param(l.Weight), b.Param(l.Bias), b.Param(l.Mean), b.Param(l.Variance),
		l.Momentum, l.Eps, slope, b.Training())
	y = b.Must(y, err)
	if b.Training() {
		b.Update(l.Mean, mean)
		b.Update(l.Variance, variance)
	}
	return y
}
