package layers_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/graph/op"
	"tessera/layers"
)

// A block fed token by token, after a prefix at once, gives what it gives for
// the whole text under the mask of causal attention with that prefix.
func TestCachedEqualsForward(t *testing.T) {
	const B, N, D, H = 2, 9, 12, 3
	for _, prefix := range []int{0, 4} {
		s := graph.NewScope(graph.Seed(2))
		k := layers.NewBlock(s, layers.BlockConfig{Width: D, Hidden: 20, Heads: H, Act: op.GELU, Eps: 1e-5, Dropout: 0.3, DropPath: 0.2, Init: graph.Normal(0.4)})
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		jitter(s.Params())
		x := tensor.New(tensor.WithShape(B, N, D), tensor.Of(tensor.Float32))
		r := rand.New(rand.NewPCG(1, 2))
		for i := range x.Float32s() {
			x.Float32s()[i] = float32(r.NormFloat64())
		}
		whole, err := graph.Compile(func(b *graph.Builder) {
			mask := make([]float64, N*N)
			for i := range mask {
				if row, col := i/N, i%N; col > row && col >= prefix {
					mask[i] = math.Inf(-1)
				}
			}
			b.Output("y", k.Forward(b, b.Input("x", B, N, D), b.Const(mask, N, N)))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		if err := whole.Run(graph.Values{"x": x}); err != nil {
			t.Fatal(err)
		}
		want := whole.Output("y").Float32s()

		cache := layers.NewCache(layers.CacheConfig{Layers: 1, Batch: B, Heads: H, Tokens: N + 2, Width: D})
		for past := 0; past < N; {
			n := 1
			if past == 0 {
				n = max(1, prefix)
			}
			prog, err := graph.Compile(func(b *graph.Builder) {
				b.Output("y", k.Cached(b, b.Input("x", B, n, D), cache.Layers[0], layers.Past{Tokens: b.Input("past", 1), Prefix: prefix}))
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			next := make([]float32, 0, B*n*D)
			for b := range B {
				next = append(next, x.Float32s()[(b*N+past)*D:(b*N+past+n)*D]...)
			}
			if err := prog.Run(graph.Values{
				"x":    tensor.New(tensor.WithShape(B, n, D), tensor.WithBacking(next)),
				"past": tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{float32(past)})),
			}); err != nil {
				t.Fatal(err)
			}
			for i, y := range prog.Output("y").Float32s() {
				b, j := i/(n*D), i%(n*D)
				if w := want[(b*N+past)*D+j]; !(math.Abs(float64(y-w)) <= 2e-6*max(1, math.Abs(float64(w)))) {
					t.Fatalf("prefix %d, token %d: element %d is %g, want %g", prefix, past, i, y, w)
				}
			}
			prog.Close()
			past += n
		}
	}
}

func TestCachedRefusesTraining(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	a := layers.NewAttention(s, layers.AttentionConfig{Width: 4, Heads: 2, Init: graph.Normal(1)})
	cache := layers.NewCache(layers.CacheConfig{Layers: 1, Batch: 1, Heads: 2, Tokens: 3, Width: 4})
	for _, training := range []bool{false, true} {
		_, err := graph.Compile(func(b *graph.Builder) {
			b.Output("y", a.Cached(b, b.Input("x", 1, 1, 4), cache.Layers[0], layers.Past{Tokens: b.Input("past", 1)}))
		}, &graph.Options{Training: training})
		if training && (err == nil || !strings.Contains(err.Error(), "not training")) || !training && err != nil {
			t.Errorf("training %t: %v", training, err)
		}
	}
}

func TestEmbeddingGradients(t *testing.T) {
	s := graph.NewScope(graph.Seed(3))
	e := layers.NewEmbedding(s.Sub("wte"), 5, 3, graph.Normal(1))
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	// The table serves both ends, so its gradient is the sum of two.
	graphtest.Grad(t, s.Params(), func(b *graph.Builder) *graph.Node {
		return e.Logits(b, e.Forward(b, b.Const([]float64{4, 0, 4, 2}, 2, 2)))
	})
}

// Texts of different lengths decode together as each does alone, to the byte.
func TestPasses(t *testing.T) {
	const D, H, M = 12, 3, 6
	s := graph.NewScope(graph.Seed(2))
	table := layers.NewEmbedding(s.Sub("wte"), 7, D, graph.Normal(1))
	k := layers.NewBlock(s.Sub("h"), layers.BlockConfig{Width: D, Hidden: 20, Heads: H, Act: op.GELU, Eps: 1e-5, Init: graph.Normal(0.4)})
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	passes := func(batch int) *layers.Passes {
		cache := layers.NewCache(layers.CacheConfig{Layers: 1, Batch: batch, Heads: H, Tokens: M, Width: D})
		p, err := layers.NewPasses(layers.PassesConfig{Batch: batch, Tokens: M, Logits: func(b *graph.Builder, n layers.Next) *graph.Node {
			return n.Last(b, k.Cached(b, table.Forward(b, n.IDs), cache.Layers[0], n.Past))
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	decode := func(texts ...[]float32) (all [][]float32) {
		p := passes(len(texts))
		lengths := make([]int, len(texts))
		for i, text := range texts {
			lengths[i] = len(text) - 2 // the last two come one by one
		}
		at, err := p.Prompt(lengths)
		for step := 0; ; step++ {
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range texts {
				copy(at.Row("ids", i), text[p.Past()[i]:])
			}
			var y []float32
			if y, err = p.Run(at); err != nil {
				t.Fatal(err)
			}
			all = append(all, slices.Clone(y))
			if step == 2 {
				return all
			}
			at = p.Step()
		}
	}
	texts := [][]float32{{1, 2, 3, 4, 5}, {6, 0, 2}, {3, 3, 1, 0}}
	together := decode(texts...)
	for i, text := range texts {
		for step, want := range decode(text) {
			if got := together[step][i*D : (i+1)*D]; !slices.Equal(got, want) {
				t.Errorf("text %d, step %d: %v together, %v alone", i, step, got, want)
			}
		}
	}
	p := passes(1)
	if _, err := p.Prompt([]int{M + 1}); err == nil || err.Error() != "a prompt of 7 tokens, want at most 6" {
		t.Errorf("a long prompt: %v", err)
	}
	at, err := p.Prompt([]int{M})
	if err == nil {
		_, err = p.Run(at)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(p.Step()); err == nil || err.Error() != "1 tokens after 6, want at most 6" {
		t.Errorf("a full cache: %v", err)
	}
}
