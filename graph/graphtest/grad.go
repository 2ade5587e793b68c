// Package graphtest checks graphs: gradients against finite differences, and
// results against stored tensors.
package graphtest

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
)

// tolerance of gradients, relative to the largest entry of a parameter's
// gradient or 1 if that is smaller.
const tolerance = 1e-6

// Grad fails the test unless the gradients of every trained parameter equal
// central differences in float64. The value of build may have any shape: it is
// reduced to a number with fixed random weights. The parameters stay float64.
func Grad(t testing.TB, params *graph.Params, build func(b *graph.Builder) *graph.Node) {
	t.Helper()
	GradAt(t, params, nil, graph.Options{Training: true}, build)
}

// GradAt is Grad with inputs and options.
func GradAt(t testing.TB, params *graph.Params, in graph.Values, opts graph.Options, build func(b *graph.Builder) *graph.Node) {
	t.Helper()
	if err := params.Convert(tensor.Float64); err != nil {
		t.Fatal(err)
	}
	opts.Dtype = tensor.Float64
	prog, err := graph.Compile(func(b *graph.Builder) {
		y := build(b)
		sum := b.Inner(y, b.Const(weights(y.Shape().TotalSize()), y.Shape()...))
		b.Output("weighed", sum)
		b.Minimize(sum)
	}, &opts)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	value := func() float64 {
		if err := prog.Run(in); err != nil {
			t.Fatal(err)
		}
		return prog.Scalar("weighed")
	}
	value()
	got := map[*graph.Param][]float64{}
	for _, g := range prog.Grads() {
		got[g.Param] = append([]float64(nil), g.Value.Float64s()...)
	}
	checked := 0
	for p := range params.Trained() {
		grad, ok := got[p]
		if !ok {
			continue // not part of the graph
		}
		checked++
		w := p.Value.Float64s()
		want := make([]float64, len(w))
		largest := 1.0
		for i, at := range w {
			want[i] = derivative(func(x float64) float64 { w[i] = x; return value() }, at)
			w[i] = at
			largest = max(largest, math.Abs(want[i]))
		}
		for i := range want {
			if !(math.Abs(want[i]-grad[i]) <= tolerance*largest) {
				t.Errorf("%s[%d]: gradient %g, finite difference %g", p.Name, i, grad[i], want[i])
			}
		}
	}
	if checked == 0 {
		t.Error("the graph has no trained parameter")
	}
}

// derivative is the central difference of fourth order.
func derivative(f func(float64) float64, x float64) float64 {
	const h = 1e-3
	return (8*(f(x+h)-f(x-h)) - (f(x+2*h) - f(x-2*h))) / (12 * h)
}

// weights are fixed and without pattern, so that no error cancels.
func weights(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	w := make([]float64, n)
	for i := range w {
		w[i] = r.Float64() + 0.5
		if r.IntN(2) == 0 {
			w[i] = -w[i]
		}
	}
	return w
}
