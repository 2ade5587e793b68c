package clip

import (
	"math"
	"strings"

	"gorgonia.org/tensor"

	"tessera/graph"
)

// initialized is a source whose fresh values are those of openai/CLIP. Layers
// take one initializer for all their weights, so that the choice, which is by
// role and by the size of the tower, is made here.
type initialized struct {
	graph.Source
	c Config
}

// Tensor passes the initializer of the parameter's role on to the source.
func (i initialized) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	width, layers, positions := i.c.Vision.HiddenSize, i.c.Vision.Layers, narrow(i.c.Vision.HiddenSize)
	if strings.HasPrefix(name, "text_") {
		width, layers, positions = i.c.Text.HiddenSize, i.c.Text.Layers, 0.01
	}
	residual := narrow(width) * narrow(2*layers) // 2·layers branches add up
	for _, role := range []struct {
		suffix string
		std    float64
	}{
		{"self_attn.out_proj.weight", residual},
		{"mlp.fc1.weight", narrow(2 * width)},
		{"mlp.fc2.weight", residual},
		{"_proj.weight", narrow(width)}, // of queries, keys and values
		{"_projection.weight", narrow(width)},
		{"class_embedding", narrow(width)},
		{"position_embedding.weight", positions},
		{"token_embedding.weight", 0.02},
	} {
		if strings.HasSuffix(name, role.suffix) {
			init = graph.Normal(role.std)
			break
		}
	}
	return i.Source.Tensor(name, shape, init)
}

// narrow is the standard deviation that keeps the variance of a sum of n terms.
func narrow(n int) float64 { return math.Pow(float64(n), -0.5) }
