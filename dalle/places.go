package dalle

import (
	"tessera/graph"
	"tessera/layers"
)

// places are the vectors of an image's places.
type places struct {
	each       *layers.Embedding // (N, D), or nil
	rows, cols *layers.Embedding // (G, D) each, or nil
	grid       int               // G
}

func newPlaces(s graph.Scope, c Config, weight graph.Init) *places {
	if c.Positions == Learned {
		return &places{each: layers.NewEmbedding(s.Sub("image_pos_embedding"), c.ImageTokens, c.Width, weight)}
	}
	return &places{
		rows: layers.NewEmbedding(s.Sub("image_row_embedding"), c.Grid(), c.Width, weight),
		cols: layers.NewEmbedding(s.Sub("image_col_embedding"), c.Grid(), c.Width, weight),
		grid: c.Grid(),
	}
}

// Forward maps places (n), counted row by row, to vectors (n, D).
func (p *places) Forward(b *graph.Builder, at *graph.Node) *graph.Node {
	if p.each != nil {
		return p.each.Forward(b, at)
	}
	rows, cols := make([]float64, p.grid*p.grid), make([]float64, p.grid*p.grid)
	for i := range rows {
		rows[i], cols[i] = float64(i/p.grid), float64(i%p.grid)
	}
	pick := func(table []float64) *graph.Node {
		return b.Reshape(b.Gather(b.Const(table, len(table), 1), at), at.Shape()...)
	}
	return b.Add(p.rows.Forward(b, pick(rows)), p.cols.Forward(b, pick(cols)))
}
