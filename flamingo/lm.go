package flamingo

import (
	"fmt"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// embed maps ids (B, N) at the given positions to vectors (B, N, D).
func (m *Model) embed(b *graph.Builder, ids, positions *graph.Node) *graph.Node {
	return b.Add(m.rows(b, ids), m.Language.Positions.Forward(b, positions))
}

// rows picks the vectors of tokens from the frozen table and the added one. The
// frozen one is never copied, which matters for a large vocabulary.
func (m *Model) rows(b *graph.Builder, ids *graph.Node) *graph.Node {
	if m.NewRows == nil {
		return m.Language.Tokens.Forward(b, ids)
	}
	V, D, n := m.Text.VocabSize, m.Text.Width, m.Vocabulary()
	known, added, isKnown := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		if i < V {
			known[i], isKnown[i] = float64(i), 1
		} else {
			added[i] = float64(i - V + 1)
		}
	}
	each := func(table []float64) *graph.Node { return b.Gather(b.Const(table, n, 1), ids) } // (B, N, 1)
	shape := ids.Shape()
	x := b.Mul(m.Language.Tokens.Forward(b, b.Reshape(each(known), shape...)), each(isKnown))
	table := b.Concat(0, b.Const(make([]float64, D), 1, D), b.Param(m.NewRows))
	return b.Add(x, b.Gather(table, b.Reshape(each(added), shape...)))
}

// head maps the last block's output (…, D) to scores (…, V) of all tokens.
func (m *Model) head(b *graph.Builder, x *graph.Node) *graph.Node {
	x = m.Language.Norm.Forward(b, x)
	logits := m.Language.Tokens.Logits(b, x)
	if m.NewRows == nil {
		return logits
	}
	return b.Concat(x.Dims()-1, logits, b.Linear(x, b.Param(m.NewRows), nil, op.Identity))
}

// blocks runs text x (B, N, D) through the blocks of the language model, which
// step computes, with cross-attention between them.
func (m *Model) blocks(b *graph.Builder, x *graph.Node, mem map[int]memory, mask *graph.Node, step func(i int, x *graph.Node) *graph.Node) *graph.Node {
	for i := range m.Language.Blocks {
		if k, ok := m.Gated[i]; ok {
			x = k.forward(b, x, mem[i], mask)
		}
		x = step(i, x)
		b.Trace(fmt.Sprint("block.", i), x)
	}
	return x
}

// memories are what each gated block attends to, by block.
func (m *Model) memories(b *graph.Builder, latents *graph.Node) map[int]memory {
	mem := map[int]memory{}
	for i := range m.Language.Blocks { // in order, so that graphs are equal
		if k, ok := m.Gated[i]; ok {
			mem[i] = k.remember(b, latents)
		}
	}
	return mem
}

// Logits maps ids (B, N) to scores (B, N, V) of the token that follows each,
// given latents (B, T, n, E) of images and time (B, N), the number of images up
// to each token.
func (m *Model) Logits(b *graph.Builder, ids, time, latents *graph.Node) *graph.Node {
	b.Expect(ids, -1, -1)
	s, N := latents.Shape(), ids.Shape()[1]
	b.Expect(time, ids.Shape()...)
	if N > m.Text.Context {
		b.Fail("Logits", "%d tokens, want at most n_positions %d", N, m.Text.Context)
	}
	positions := make([]float64, N)
	for i := range positions {
		positions[i] = float64(i)
	}
	x := m.embed(b, ids, b.Const(positions, N))
	seen := mediaMask(b, time, s[1], s[2], m.Immediate)
	causal := layers.Causal(b, N)
	x = m.blocks(b, x, m.memories(b, latents), seen, func(i int, x *graph.Node) *graph.Node {
		return m.Language.Blocks[i].Forward(b, x, causal)
	})
	return m.head(b, x)
}
