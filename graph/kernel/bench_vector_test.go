package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// perElement runs f, which handles n elements, and reports the time of one.
func perElement(b *testing.B, n int, f func()) {
	f()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
}

// benchSizes are one that stays in cache and one that does not.
var benchSizes = []int{1 << 14, 1 << 22}

func benchVector(n int) []float32 {
	x := uniform[float32](rand.New(rand.NewPCG(1, uint64(n))), n)
	for i := range x {
		x[i] *= 4
	}
	return x
}

func BenchmarkActivate(b *testing.B) {
	for _, n := range benchSizes {
		x, y, d := benchVector(n), make([]float32, n), make([]float32, n)
		for a := GELU; a.Valid(); a++ {
			b.Run(fmt.Sprintf("fn=%v/n=%d", a, n), func(b *testing.B) {
				perElement(b, n, func() { Activate(y, x, a) })
			})
		}
		bias := x[:768]
		whole := n / len(bias) * len(bias)
		b.Run(fmt.Sprintf("fn=bias+gelu/n=%d", n), func(b *testing.B) {
			perElement(b, whole, func() {
				for i := 0; i < whole; i += len(bias) {
					biasActivate(y[i:i+len(bias)], nil, x[i:i+len(bias)], bias, GELU)
				}
			})
		})
		b.Run(fmt.Sprintf("fn=bias+gelu+slope/n=%d", n), func(b *testing.B) {
			perElement(b, whole, func() {
				for i := 0; i < whole; i += len(bias) {
					biasActivate(y[i:i+len(bias)], d[i:i+len(bias)], x[i:i+len(bias)], bias, GELU)
				}
			})
		})
	}
}

func BenchmarkActivateBackward(b *testing.B) {
	for _, n := range benchSizes {
		x, dx := benchVector(n), make([]float32, n)
		for a := GELU; a.Valid(); a++ {
			b.Run(fmt.Sprintf("fn=%v/n=%d", a, n), func(b *testing.B) {
				perElement(b, n, func() { ActivateBackward(dx, x, x, a) })
			})
		}
	}
}

func BenchmarkElementwise(b *testing.B) {
	for _, n := range benchSizes {
		x, y, dst := benchVector(n), benchVector(n), make([]float32, n)
		full := NewBroadcast([]int{n}, []int{n}, []int{n})
		rows := n / 256
		square := []int{rows, 256}
		row := NewBroadcast(square, square, square[1:])
		sum := NewBroadcast(square, square[1:], square)
		for _, k := range []struct {
			name string
			f    func()
		}{
			{"exp", func() { Exp(dst, x) }},
			{"add", func() { Add(dst, x, y, full) }},
			{"add_row", func() { Add(dst, x, y[:256], row) }},
			{"scale", func() { Scale(dst, x, 3) }},
			{"inner", func() { dst[0] = float32(Inner(x, y)) }},
			{"sum_rows", func() { Reduce(dst[:256], x, 1, sum) }},
			{"dropout", func() { Dropout(dst, x, 0.1, 5) }},
			{"sum_of_two", func() { Sum(dst, x, y) }},
		} {
			b.Run(fmt.Sprintf("op=%s/n=%d", k.name, n), func(b *testing.B) { perElement(b, n, k.f) })
		}
	}
}

func BenchmarkSoftmax(b *testing.B) {
	for _, s := range [][2]int{{64, 65}, {80, 197}, {19000, 197}, {8, 50257}} {
		rows, n := s[0], s[1]
		x, y, dx := benchVector(rows*n), make([]float32, rows*n), make([]float32, rows*n)
		name := fmt.Sprintf("/rows=%d/n=%d", rows, n)
		b.Run("pass=forward"+name, func(b *testing.B) {
			perElement(b, rows*n, func() { Softmax(y, x, nil, Mask{}, n) })
		})
		b.Run("pass=backward"+name, func(b *testing.B) {
			perElement(b, rows*n, func() { SoftmaxBackward(dx, y, x, n) })
		})
	}
}

func BenchmarkCrossEntropy(b *testing.B) {
	for _, s := range [][2]int{{64, 1000}, {64, 50257}} {
		rows, n := s[0], s[1]
		x, dx := benchVector(rows*n), make([]float32, rows*n)
		stats, ids := make([]float32, 4*rows), make([]float32, rows)
		name := fmt.Sprintf("/rows=%d/n=%d", rows, n)
		b.Run("pass=forward"+name, func(b *testing.B) {
			perElement(b, rows*n, func() { CrossEntropyIDs(stats, x, ids, nil, rows, n) })
		})
		b.Run("pass=backward"+name, func(b *testing.B) {
			perElement(b, rows*n, func() { CrossEntropyIDsBackward(dx, stats, x, ids, 1, rows, n) })
		})
	}
}

func BenchmarkLayerNorm(b *testing.B) {
	for _, s := range [][2]int{{20, 768}, {520, 192}, {5000, 768}, {12608, 192}} {
		rows, n := s[0], s[1]
		x, dy, y := benchVector(rows*n), benchVector(rows*n), make([]float32, rows*n)
		mean, rstd, weight, bias := make([]float32, rows), make([]float32, rows), benchVector(n), benchVector(n)
		dw, db := make([]float32, n), make([]float32, n)
		name := fmt.Sprintf("/rows=%d/n=%d", rows, n)
		b.Run("pass=forward"+name, func(b *testing.B) {
			perElement(b, rows*n, func() { LayerNorm(y, mean, rstd, x, weight, bias, 1e-5, n) })
		})
		b.Run("pass=backward"+name, func(b *testing.B) {
			perElement(b, rows*n, func() { LayerNormBackward(y, dw, db, x, weight, mean, rstd, dy, n) })
		})
	}
}
