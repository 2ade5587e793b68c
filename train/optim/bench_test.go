package optim_test

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/train/optim"
)

// benchParams declares matrices of 768 × 768 with n numbers in all.
func benchParams(b *testing.B, n int) (*graph.Params, []graph.Grad) {
	s := graph.NewScope(graph.Seed(1))
	for i := range n / (768 * 768) {
		s.Sub(fmt.Sprint(i)).Param("weight", graph.Normal(1), 768, 768)
	}
	if err := s.Err(); err != nil {
		b.Fatal(err)
	}
	return s.Params(), gradients(s.Params(), random(1))
}

// measure reports the time per parameter.
func measure(b *testing.B, n int, f func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
}

var benchSizes = []int{768 * 768, 8 * 768 * 768}

func BenchmarkAdamW(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("params=%d", n), func(b *testing.B) {
			_, grads := benchParams(b, n)
			opt := optim.AdamW{WeightDecay: 0.05}
			measure(b, n, func() error { return opt.Step(1e-3, 0.5, grads) })
		})
	}
}

func BenchmarkNorm(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("params=%d", n), func(b *testing.B) {
			_, grads := benchParams(b, n)
			measure(b, n, func() error {
				optim.Norm(grads)
				return nil
			})
		})
	}
}

func BenchmarkEMA(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("params=%d", n), func(b *testing.B) {
			params, _ := benchParams(b, n)
			mean := optim.EMA{Decay: 0.999}
			measure(b, n, func() error { return mean.Update(params) })
		})
	}
}
