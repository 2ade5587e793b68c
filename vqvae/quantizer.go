package vqvae

import (
	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// Quantized is what becomes of vectors z (N, D).
type Quantized struct {
	Codes *graph.Node // (N, D), with a gradient to z
	IDs   *graph.Node // (N), the numbers of the codes
	Loss  *graph.Node // (1), what the codebook asks for beside a good image; nil: nothing
}

// Quantizer replaces vectors by codes.
type Quantizer interface {
	Forward(b *graph.Builder, z *graph.Node) Quantized
	// Lookup maps ids (N) to codes (N, D).
	Lookup(b *graph.Builder, ids *graph.Node) *graph.Node
}

func newQuantizer(s graph.Scope, c Config) Quantizer {
	K, D := c.NumEmbeddings, c.EmbeddingDim
	switch c.Quantizer {
	case EMA:
		s = s.Frozen()
		return &averaged{
			codebook: codebook{s.Param("embedding.weight", graph.Uniform(1/float64(K)), K, D)},
			counts:   s.Param("cluster_size", graph.Zeros, K),
			sums:     s.Param("embed_sum", graph.Zeros, K, D),
			update:   op.CodebookUpdate{Decay: c.Decay, Eps: 1e-5, Dead: c.Dead},
			beta:     c.Commitment,
		}
	case Gumbel:
		return &relaxed{
			codebook:    codebook{s.Param("embedding.weight", graph.Normal(1), K, D)},
			scores:      layers.NewLinear(s.Sub("scores"), D, K, graph.KaimingUniform(D)),
			temperature: c.Temperature, weight: c.KLWeight,
		}
	case FSQ:
		return newFinite(c.Levels)
	}
	return &learned{
		codebook: codebook{s.Param("embedding.weight", graph.Uniform(1/float64(K)), K, D)},
		beta:     c.Commitment,
	}
}

// codebook holds the codes (K, D).
type codebook struct{ table *graph.Param }

// Lookup maps ids (N) to codes (N, D).
func (k codebook) Lookup(b *graph.Builder, ids *graph.Node) *graph.Node {
	return b.Gather(b.Param(k.table), ids)
}

// nearest returns the codes nearest to z and their numbers.
func (k codebook) nearest(b *graph.Builder, z *graph.Node) (codes, ids *graph.Node) {
	ids = b.Nearest(z, b.Param(k.table))
	return k.Lookup(b, ids), ids
}

// meanSquare is the mean of (x − y)² over all elements.
func meanSquare(b *graph.Builder, x, y *graph.Node) *graph.Node {
	return b.Mean(b.Square(b.Sub(x, y)))
}

// learned is a codebook trained by gradient (arXiv:1711.00937, equation 3): codes
// move to the vectors, and vectors to their codes with the weight beta.
type learned struct {
	codebook
	beta float64
}

func (q *learned) Forward(b *graph.Builder, z *graph.Node) Quantized {
	codes, ids := q.nearest(b, z)
	loss := b.Add(meanSquare(b, codes, b.StopGradient(z)), b.Scale(meanSquare(b, b.StopGradient(codes), z), q.beta))
	return Quantized{b.StraightThrough(z, codes), ids, loss}
}

// averaged is a codebook of moving averages of the vectors assigned to a code.
type averaged struct {
	codebook
	counts, sums *graph.Param // (K), (K, D)
	update       op.CodebookUpdate
	beta         float64
}

func (q *averaged) Forward(b *graph.Builder, z *graph.Node) Quantized {
	codes, ids := q.nearest(b, z)
	b.FollowCodebook(z, ids, q.table, q.counts, q.sums, q.update)
	return Quantized{b.StraightThrough(z, codes), ids, b.Scale(meanSquare(b, codes, z), q.beta)}
}

// relaxed draws codes from a softmax by scores of z (arXiv:1611.01144). Forward a
// drawn code counts alone; the gradient is that of the mixture of all codes.
type relaxed struct {
	codebook
	scores      *layers.Linear
	temperature float64
	weight      float64 // of the divergence of the softmax from even use
}

func (q *relaxed) Forward(b *graph.Builder, z *graph.Node) Quantized {
	scores := q.scores.Forward(b, z) // (N, K)
	drawn := b.AddGumbel(scores)
	ids := b.Must(op.Argmax(drawn))
	mixture := b.MatMul(b.Softmax(b.Scale(drawn, 1/q.temperature)), b.Param(q.table))
	return Quantized{b.StraightThrough(mixture, q.Lookup(b, ids)), ids, b.Scale(divergence(b, scores), q.weight)}
}

// divergence is the mean over rows of KL(softmax(scores) ‖ uniform).
func divergence(b *graph.Builder, scores *graph.Node) *graph.Node {
	N, K := scores.Shape()[0], scores.Shape()[1]
	p := b.Softmax(scores)
	log := b.Must(op.LogSoftmax(scores))
	return b.Shift(b.Scale(b.Inner(p, log), 1/float64(N)), logOf(K))
}
