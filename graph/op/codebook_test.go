package op_test

import (
	"math"
	"strings"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestRoundAndPerplexity(t *testing.T) {
	expect(t, []int{4}, []float64{-2, 0, 0, 3}, func(b *graph.Builder) *graph.Node {
		return b.Round(b.Const([]float64{-1.6, -0.5, 0.5, 2.7}, 4))
	})
	expect(t, []int{1}, []float64{2}, func(b *graph.Builder) *graph.Node {
		return b.Perplexity(b.Const([]float64{3, 0, 0, 3}, 2, 2), 4)
	})
}

// TestFollowCodebook: a training run replaces the parameters, and an evaluation
// leaves them alone.
func TestFollowCodebook(t *testing.T) {
	s := graph.NewScope(graph.Seed(1)).Frozen()
	codes, counts, sums := s.Param("codes", graph.Ones, 2, 1), s.Param("counts", graph.Ones, 2), s.Param("sums", graph.Ones, 2, 1)
	x := graph.NewScope(graph.Seed(1)).Param("x", graph.Ones, 4, 1)
	copy(x.Float32s(), []float32{1, 2, 3, 10})
	for _, training := range []bool{false, true} {
		p, err := graph.Compile(func(b *graph.Builder) {
			ids := b.Const([]float64{0, 0, 0, 1}, 4)
			b.FollowCodebook(b.Param(x), ids, codes, counts, sums, op.CodebookUpdate{Decay: 0.5, Eps: 1e-9})
			b.Minimize(b.Sum(b.Add(b.Param(x), b.Gather(b.Param(codes), ids))))
		}, &graph.Options{Training: training})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(nil); err != nil {
			t.Fatal(err)
		}
		want := []float64{1, 1, 1, 1, 1, 1}
		if training {
			want = []float64{3.5 / 2, 5.5, 2, 1, 3.5, 5.5}
		}
		got := append(append(append([]float32{}, codes.Float32s()...), counts.Float32s()...), sums.Float32s()...)
		for i, v := range got {
			if math.Abs(float64(v)-want[i]) > 1e-5 {
				t.Errorf("training %t: codes, counts and sums are %v, want %v", training, got, want)
				break
			}
		}
	}
}

func TestCodebookErrors(t *testing.T) {
	for _, tt := range []struct {
		want  string
		build func(b *graph.Builder) *graph.Node
	}{
		{"want (N, D) and (K, D)", func(b *graph.Builder) *graph.Node {
			return update(b, []int{4, 2}, []int{3, 1}, []int{4}, 0.5)
		}},
		{"ids have shape (3)", func(b *graph.Builder) *graph.Node {
			return update(b, []int{4, 2}, []int{3, 2}, []int{3}, 0.5)
		}},
		{"decay 1", func(b *graph.Builder) *graph.Node {
			return update(b, []int{4, 2}, []int{3, 2}, []int{4}, 1)
		}},
		{"0 codes", func(b *graph.Builder) *graph.Node { return b.Perplexity(constZeros(b, 2), 0) }},
	} {
		_, err := graph.Compile(func(b *graph.Builder) { b.Output("y", tt.build(b)) }, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

func update(b *graph.Builder, x, sums, ids []int, decay float64) *graph.Node {
	codes, _, _, err := op.UpdateCodebook(constZeros(b, x...), constZeros(b, ids...), constZeros(b, sums[0]), constZeros(b, sums...),
		op.CodebookUpdate{Decay: decay, Eps: 1e-5}, &op.Noise{}, 1)
	return b.Must(codes, err)
}

func constZeros(b *graph.Builder, shape ...int) *graph.Node {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return b.Const(make([]float64, n), shape...)
}
