package graph

import "tessera/graph/op"

// Nearest gives for each row of x (N, D) the number of the nearest row of
// codebook (K, D), shape (N).
func (b *Builder) Nearest(x, codebook *Node) *Node {
	return b.call("Nearest", x, codebook).node(op.Nearest(x, codebook))
}

// FollowCodebook has a codebook of moving averages follow the vectors x (N, D)
// assigned to its codes ids (N) in every training run: codes (K, D), counts (K)
// and sums (K, D), which must be frozen, are replaced after it.
func (b *Builder) FollowCodebook(x, ids *Node, codes, counts, sums *Param, u op.CodebookUpdate) {
	if !b.training {
		return
	}
	c, n, s, err := op.UpdateCodebook(x, ids, b.Param(counts), b.Param(sums), u, b.noise, b.stream())
	b.Update(codes, b.call("FollowCodebook", x, ids).node(c, err))
	b.Update(counts, n)
	b.Update(sums, s)
}

// AddGumbel adds noise from the Gumbel distribution in training.
func (b *Builder) AddGumbel(x *Node) *Node {
	if !b.training {
		return x
	}
	return b.call("AddGumbel", x).node(op.AddGumbel(x, b.noise, b.stream()))
}

// Round gives the nearest whole numbers, without a gradient.
func (b *Builder) Round(x *Node) *Node { return b.call("Round", x).node(op.Round(x)) }

// Perplexity is e to the entropy of the codes ids, of which there are k.
func (b *Builder) Perplexity(ids *Node, k int) *Node {
	return b.call("Perplexity", ids).node(op.Perplexity(ids, k))
}
