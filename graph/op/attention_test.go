package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestAttentionGradients(t *testing.T) {
	noise := &op.Noise{Seed: 5}
	for _, tt := range []struct {
		name string
		c    op.AttentionConfig
		mask func(b *graph.Builder) *graph.Node
	}{
		{"plain", op.AttentionConfig{Heads: 2}, nil},
		{"one head, own scale", op.AttentionConfig{Heads: 1, Scale: 0.3}, nil},
		{"dropout", op.AttentionConfig{Heads: 2, Dropout: 0.4, Noise: noise, Stream: 1}, nil},
		{"excluded", op.AttentionConfig{Heads: 2}, func(b *graph.Builder) *graph.Node {
			return excluding(b, []int{1, 2, 5, 10, 11, 12, 13, 14}, 3, 5) // nothing left of the last row
		}},
		{"excluded, dropout", op.AttentionConfig{Heads: 2, Dropout: 0.4, Noise: noise}, func(b *graph.Builder) *graph.Node {
			return excluding(b, []int{1, 2, 5}, 2, 1, 5)
		}},
	} {
		checkGradients(t, tt.name, graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			var mask *graph.Node
			if tt.mask != nil {
				mask = tt.mask(b)
			}
			return b.Must(op.Attention(x[0], x[1], x[2], mask, tt.c))
		}, []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 6})
	}
	for _, mask := range [][]int{{3, 5}, {1, 5}, {2, 3, 5}, {2, 1, 5}, {2, 2, 3, 5}, {1, 2, 1, 5}} {
		checkGradients(t, "bias", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Attention(x[0], x[1], x[2], x[3], op.AttentionConfig{Heads: 2}))
		}, []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 2}, mask)
	}
	shapes := [][]int{{1, 3, 4}, {1, 5, 4}, {1, 5, 6}, {3, 5}}
	for only, shape := range shapes {
		checkGradients(t, fmt.Sprint("only ", only), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			var in [4]*graph.Node
			for i, s := range shapes {
				in[i] = b.Must(op.Scale(upTo(b, s...), 0.03))
			}
			in[only] = x[0]
			return b.Must(op.Attention(in[0], in[1], in[2], in[3], op.AttentionConfig{Heads: 2}))
		}, shape)
	}
	checkGradients(t, "self", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.Attention(x[0], x[0], x[0], nil, op.AttentionConfig{Heads: 2}))
	}, []int{2, 3, 4})
	// Enough heads to run side by side.
	checkGradients(t, "eight heads", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.Attention(x[0], x[1], x[1], nil, op.AttentionConfig{Heads: 8}))
	}, []int{1, 2, 16}, []int{1, 3, 16})
}

// TestAttention compares with products and softmax of single heads.
func TestAttention(t *testing.T) {
	const B, N, M, H, K, V = 2, 3, 4, 2, 3, 2
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		return x
	}
	q, k, v, mask := draw(B*N*H*K), draw(B*M*H*K), draw(B*M*H*V), draw(B*N*M)
	y, weights := make([]float64, B*N*H*V), make([]float64, B*H*N*M)
	for i := range weights {
		b, h, n, m := i/(H*N*M), i/(N*M)%H, i/M%N, i%M
		var s float64
		for j := range K {
			s += q[(b*N+n)*H*K+h*K+j] * k[(b*M+m)*H*K+h*K+j]
		}
		weights[i] = math.Exp(s/math.Sqrt(K) + mask[(b*N+n)*M+m])
	}
	for r := 0; r < len(weights); r += M {
		var sum float64
		for _, w := range weights[r : r+M] {
			sum += w
		}
		b, h, n := r/(H*N*M), r/(N*M)%H, r/M%N
		for m := range M {
			weights[r+m] /= sum
			for j := range V {
				y[(b*N+n)*H*V+h*V+j] += weights[r+m] * v[(b*M+m)*H*V+h*V+j]
			}
		}
	}
	nodes := func(b *graph.Builder) (*graph.Node, *graph.Node, *graph.Node, *graph.Node) {
		return b.Const(q, B, N, H*K), b.Const(k, B, M, H*K), b.Const(v, B, M, H*V), b.Const(mask, B, N, M)
	}
	expect(t, []int{B, N, H * V}, y, func(b *graph.Builder) *graph.Node {
		q, k, v, m := nodes(b)
		return b.Must(op.Attention(q, k, v, m, op.AttentionConfig{Heads: H}))
	})
	expect(t, []int{B, H, N, M}, weights, func(b *graph.Builder) *graph.Node {
		q, k, _, m := nodes(b)
		return b.Must(op.AttentionWeights(q, k, m, op.AttentionConfig{Heads: H, Dropout: 0.5}))
	})
}

func TestAttentionErrors(t *testing.T) {
	for _, tt := range []struct {
		name          string
		q, k, v, mask []int
		c             op.AttentionConfig
		want          string
	}{
		{"axes", []int{3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, nil, op.AttentionConfig{Heads: 2}, "queries (3, 4)"},
		{"widths", []int{2, 3, 4}, []int{2, 5, 6}, []int{2, 5, 4}, nil, op.AttentionConfig{Heads: 2}, "queries (2, 3, 4) and keys (2, 5, 6) differ"},
		{"lengths", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 6, 4}, nil, op.AttentionConfig{Heads: 2}, "keys (2, 5, 4) and values (2, 6, 4) differ"},
		{"heads", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, nil, op.AttentionConfig{Heads: 3}, "3 heads do not divide widths 4 and 4"},
		{"no heads", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, nil, op.AttentionConfig{}, "0 heads"},
		{"mask", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, []int{5, 3}, op.AttentionConfig{Heads: 2}, "mask (5, 3) does not fit scores (2, 2, 3, 5)"},
		{"mask by head", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, []int{4, 3, 5}, op.AttentionConfig{Heads: 4}, "does not fit scores (2, 4, 3, 5)"},
		{"mask of one axis", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, []int{5}, op.AttentionConfig{Heads: 2}, "mask (5)"},
		{"dropout", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, nil, op.AttentionConfig{Heads: 2, Dropout: 1}, "dropout of 1"},
		{"noise", []int{2, 3, 4}, []int{2, 5, 4}, []int{2, 5, 4}, nil, op.AttentionConfig{Heads: 2, Dropout: 0.1}, "source of noise"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, func(b *graph.Builder) *graph.Node {
				var mask *graph.Node
				if tt.mask != nil {
					mask = zeros(b, tt.mask...)
				}
				return b.Must(op.Attention(zeros(b, tt.q...), zeros(b, tt.k...), zeros(b, tt.v...), mask, tt.c))
			}, tt.want)
		})
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, c := range []struct{ batch, tokens, heads, width int }{{32, 65, 3, 192}, {2, 197, 12, 768}} {
		b.Run(fmt.Sprintf("batch=%d/tokens=%d/heads=%d/width=%d", c.batch, c.tokens, c.heads, c.width), func(b *testing.B) {
			p := trainable(b, func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Must(op.Attention(x, x, x, nil, op.AttentionConfig{Heads: c.heads}))
			}, c.batch, c.tokens, c.width)
			for b.Loop() {
				if err := p.Run(nil); err != nil {
					b.Fatal(err)
				}
			}
			flops := 12 * float64(c.batch*c.tokens*c.tokens*c.width) // six products
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
