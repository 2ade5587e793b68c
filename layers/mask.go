package layers

import (
	"math"

	"tessera/graph"
)

// Causal is the additive mask (N, N) with which row i attends to the columns
// up to i: 0 where it may, −∞ elsewhere.
func Causal(b *graph.Builder, n int) *graph.Node {
	v := make([]float64, n*n)
	for i := range n {
		for j := i + 1; j < n; j++ {
			v[i*n+j] = math.Inf(-1)
		}
	}
	return b.Const(v, n, n)
}
