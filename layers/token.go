package layers

import "tessera/graph"

// Prepend puts a learned token (1, 1, D) before the tokens x (B, N, D), giving
// (B, 1+N, D).
func Prepend(b *graph.Builder, token *graph.Param, x *graph.Node) *graph.Node {
	B, D := x.Shape()[0], x.Shape()[2]
	return b.Concat(1, b.Expand(b.Param(token), B, 1, D), x)
}
