package train

import (
	"gorgonia.org/tensor"

	"tessera/graph"
)

// average is the mean of the gradients of k micro-batches. For one it is the
// program's own gradients, without a copy.
type average struct {
	k     int
	grads []graph.Grad
	sums  [][]float64 // single precision would lose what many batches add
}

func newAverage(k int) *average { return &average{k: k} }

// add takes in the gradients of a micro-batch, counted from 0.
func (a *average) add(micro int, grads []graph.Grad) {
	if a.k == 1 {
		a.grads = grads
		return
	}
	if a.sums == nil {
		for _, g := range grads {
			n := g.Value.Shape().TotalSize()
			a.sums = append(a.sums, make([]float64, n))
			v := tensor.New(tensor.WithShape(g.Value.Shape()...), tensor.WithBacking(make([]float32, n)))
			a.grads = append(a.grads, graph.Grad{Param: g.Param, Value: v})
		}
	}
	for i, g := range grads {
		sum := a.sums[i]
		if micro == 0 {
			clear(sum)
		}
		for j, v := range g.Value.Float32s() {
			sum[j] += float64(v)
		}
	}
}

// finish divides the sums.
func (a *average) finish() {
	for i, sum := range a.sums {
		dst := a.grads[i].Value.Float32s()
		for j, v := range sum {
			dst[j] = float32(v / float64(a.k))
		}
	}
}
