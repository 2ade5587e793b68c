package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"tessera/graph/kernel"
)

// transposes are the forms of a product C = op(A) op(B).
var transposes = []struct {
	name   string
	ta, tb bool
}{{"nn", false, false}, {"nt", false, true}, {"tn", true, false}}

// BenchmarkMatMul measures the products of a transformer's layers: forward
// (NT), of the gradients of inputs (NN) and of weights (TN), and of one row.
func BenchmarkMatMul(b *testing.B) {
	for _, s := range []struct{ m, k, n int }{{2048, 192, 576}, {2048, 768, 3072}, {394, 768, 768}, {1, 768, 3072}} {
		for _, t := range transposes {
			if s.m == 1 && t.ta {
				continue
			}
			b.Run(fmt.Sprintf("m=%d/k=%d/n=%d/op=%s", s.m, s.k, s.n, t.name), func(b *testing.B) {
				x, y, z := gaussian(s.m*s.k), gaussian(s.k*s.n), make([]float32, s.m*s.n)
				lda, ldb := rowLength(t.ta, s.m, s.k), rowLength(t.tb, s.k, s.n)
				for b.Loop() {
					kernel.MatMul(t.ta, t.tb, s.m, s.n, s.k, 1, x, lda, y, ldb, 0, z, s.n)
				}
				reportFlops(b, 2*s.m*s.k*s.n)
			})
		}
	}
}

// BenchmarkBatchMatMul measures the products of attention, a head each.
func BenchmarkBatchMatMul(b *testing.B) {
	for _, s := range []struct{ batch, m, k, n int }{
		{96, 65, 64, 65}, {96, 65, 65, 64}, {384, 197, 64, 197}, {384, 197, 197, 64},
	} {
		for _, t := range transposes {
			b.Run(fmt.Sprintf("batch=%d/m=%d/k=%d/n=%d/op=%s", s.batch, s.m, s.k, s.n, t.name), func(b *testing.B) {
				x, y, z := gaussian(s.batch*s.m*s.k), gaussian(s.batch*s.k*s.n), make([]float32, s.batch*s.m*s.n)
				lda, ldb := rowLength(t.ta, s.m, s.k), rowLength(t.tb, s.k, s.n)
				for b.Loop() {
					kernel.BatchMatMul(s.batch, t.ta, t.tb, s.m, s.n, s.k, 1, x, lda, s.m*s.k, y, ldb, s.k*s.n, 0, z, s.n, s.m*s.n)
				}
				reportFlops(b, 2*s.batch*s.m*s.k*s.n)
			})
		}
	}
}

// BenchmarkAttention measures scores, softmax and averages of values, and
// their gradients. GFLOP/s count the products alone.
func BenchmarkAttention(b *testing.B) {
	for _, c := range []kernel.Heads{{B: 32, H: 3, N: 65, M: 65, K: 64, V: 64}, {B: 4, H: 12, N: 197, M: 197, K: 64, V: 64}} {
		c.Scale = 1 / math.Sqrt(float64(c.K))
		size := fmt.Sprintf("batch=%d/heads=%d/tokens=%d", c.B, c.H, c.N)
		n := c.B * c.H * c.N * c.K
		q, k, v, dy := gaussian(n), gaussian(n), gaussian(n), gaussian(n)
		y, dq, dk, dv := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		weights, scores := make([]float32, n/c.K*c.M), make([]float32, n/c.K*c.M)
		product := 2 * c.B * c.H * c.N * c.M * c.K
		b.Run("pass=forward/"+size, func(b *testing.B) {
			for b.Loop() {
				kernel.Attention(y, weights, nil, q, k, v, nil, kernel.Mask{}, c, 0)
			}
			reportFlops(b, 2*product)
		})
		kernel.Attention(y, weights, nil, q, k, v, nil, kernel.Mask{}, c, 0)
		b.Run("pass=backward/"+size, func(b *testing.B) {
			for b.Loop() {
				kernel.AttentionBackward(dq, dk, dv, scores, q, k, v, weights, nil, dy, c)
			}
			reportFlops(b, 4*product)
		})
	}
}

// rowLength is the length of the stored rows of op(A) of size (m, n).
func rowLength(t bool, m, n int) int {
	if t {
		return m
	}
	return n
}

// gaussian draws n numbers from the standard normal distribution.
func gaussian(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// reportFlops reports GFLOP/s for so many operations an iteration.
func reportFlops(b *testing.B, flops int) {
	b.ReportMetric(float64(flops)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
