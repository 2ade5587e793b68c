package main

import (
	"math"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/vit"
)

// forward computes the logits of batches, keeping the program of the last size.
type forward struct {
	model *vit.Model
	prog  *graph.Program
	size  int
}

// logits maps images (n, C, S, S) to class scores, n rows of them. The result is
// overwritten by the next call.
func (f *forward) logits(images *tensor.Dense) ([]float32, error) {
	n := images.Shape()[0]
	if n != f.size {
		if err := f.close(); err != nil {
			return nil, err
		}
		prog, err := graph.Compile(func(b *graph.Builder) {
			m := f.model
			b.Output("logits", m.Logits(b, b.Input("image", n, m.Channels, m.ImageSize, m.ImageSize)))
		}, &graph.Options{Fixed: true})
		if err != nil {
			return nil, err
		}
		f.prog, f.size = prog, n
	}
	if err := f.prog.Run(graph.Values{"image": images}); err != nil {
		return nil, err
	}
	return f.prog.Output("logits").Float32s(), nil
}

func (f *forward) close() error {
	if f.prog == nil {
		return nil
	}
	prog := f.prog
	f.prog, f.size = nil, 0
	return prog.Close()
}

// logSoftmax gives the logarithms of the probabilities.
func logSoftmax(logits []float32) []float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v))
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - top)
	}
	out := make([]float64, len(logits))
	for i, v := range logits {
		out[i] = float64(v) - top - math.Log(sum)
	}
	return out
}

// argmax is the place of the largest value, the first of equals.
func argmax(v []float32) int {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return best
}
