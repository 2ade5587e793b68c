package optim

import (
	"math"
	"strings"

	"tessera/graph"
)

// tokens are parts of the names of class tokens and position embeddings, which
// have the shape of matrices but add to activations as biases do.
var tokens = [...]string{
	"cls_token", "class_embedding",
	"pos_embed", "position_embedding", "positional_embedding",
}

// Matrices accepts the parameters that are usually decayed: those of two or
// more dimensions that are not class tokens or position embeddings.
func Matrices(p *graph.Param) bool {
	for _, t := range tokens {
		if strings.Contains(p.Name, t) {
			return false
		}
	}
	return p.Shape().Dims() >= 2
}

// All accepts every parameter.
func All(*graph.Param) bool { return true }

// LayerDecay lowers the learning rate towards the input: a parameter of layer
// l of a network of the given depth learns at decay^(depth−l) times the rate
// (arXiv:2106.08254). Layer 0 holds the embeddings, layer depth the head.
func LayerDecay(decay float64, depth int, layer func(name string) int) func(*graph.Param) float64 {
	return func(p *graph.Param) float64 {
		return math.Pow(decay, float64(depth-layer(p.Name)))
	}
}
