package kernel_test

import (
	"fmt"
	"testing"

	"tessera/graph/kernel"
)

// BenchmarkVector measures kernels at a size that stays in cache and at one
// that no cache holds, those of testdata/bench_torch.py. Rows of softmax have
// 197 elements, those of layer norm 768.
func BenchmarkVector(b *testing.B) {
	for _, size := range []int{1 << 14, 1 << 24} {
		for _, k := range []struct {
			name string
			row  int // elements
			make func(n int) func()
		}{
			{"fn=exp/pass=forward", 1, func(n int) func() {
				y, x := make([]float32, n), repeated(n)
				return func() { kernel.Exp(y, x) }
			}},
			{"fn=tanh/pass=forward", 1, activate(kernel.Tanh)},
			{"fn=gelu/pass=forward", 1, activate(kernel.GELU)},
			{"fn=gelu/pass=backward", 1, activateBackward(kernel.GELU)},
			{"fn=gelu_tanh/pass=forward", 1, activate(kernel.GELUTanh)},
			{"fn=gelu_tanh/pass=backward", 1, activateBackward(kernel.GELUTanh)},
			{"fn=softmax/pass=forward", 197, func(n int) func() {
				y, x := make([]float32, n), repeated(n)
				return func() { kernel.Softmax(y, x, nil, kernel.Mask{}, 197) }
			}},
			{"fn=layer_norm/pass=forward", 768, func(n int) func() {
				y, mean, rstd := make([]float32, n), make([]float32, n/768), make([]float32, n/768)
				x, weight, bias := repeated(n), gaussian(768), gaussian(768)
				return func() { kernel.LayerNorm(y, mean, rstd, x, weight, bias, 1e-6, 768) }
			}},
			{"fn=layer_norm/pass=backward", 768, func(n int) func() {
				y, mean, rstd := make([]float32, n), make([]float32, n/768), make([]float32, n/768)
				x, weight, bias := repeated(n), gaussian(768), gaussian(768)
				kernel.LayerNorm(y, mean, rstd, x, weight, bias, 1e-6, 768)
				dy, dweight, dbias := repeated(n), make([]float32, 768), make([]float32, 768)
				return func() { kernel.LayerNormBackward(y, dweight, dbias, x, weight, mean, rstd, dy, 768) }
			}},
		} {
			n := size / k.row * k.row
			b.Run(fmt.Sprintf("%s/n=%d", k.name, n), func(b *testing.B) {
				f := k.make(n)
				f()
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
			})
		}
	}
}

func activate(a kernel.Activation) func(n int) func() {
	return func(n int) func() {
		y, x := make([]float32, n), repeated(n)
		return func() { kernel.Activate(y, x, a) }
	}
}

func activateBackward(a kernel.Activation) func(n int) func() {
	return func(n int) func() {
		dx, x, dy := make([]float32, n), repeated(n), repeated(n)
		return func() { kernel.ActivateBackward(dx, x, dy, a) }
	}
}

// repeated is n numbers of the standard normal distribution; drawing many takes
// long.
func repeated(n int) []float32 {
	drawn := gaussian(min(n, 1<<14))
	x := make([]float32, 0, n)
	for len(x) < n {
		x = append(x, drawn[:min(len(drawn), n-len(x))]...)
	}
	return x
}
