package op_test

import (
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

// A program changes its cache in place, and another program finds the tokens.
func TestCachedAttentionSharesItsCache(t *testing.T) {
	s := graph.NewScope(graph.Seed(1)).Frozen()
	keys, values := s.Param("keys", graph.Zeros, 1, 1, 2, 4), s.Param("values", graph.Zeros, 1, 1, 4, 2)
	compile := func(n int) *graph.Program {
		p, err := graph.Compile(func(b *graph.Builder) {
			x := func(name string) *graph.Node { return b.Input(name, 1, n, 2) }
			b.Output("y", b.Must(op.CachedAttention(x("q"), x("k"), x("v"), b.Param(keys), b.Param(values), b.Input("past", 1), b.Input("mask", 1, 4), op.CacheConfig{Heads: 1, Scale: 1})))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	run := func(p *graph.Program, past float32, k, v []float32, mask ...float32) ([]float32, error) {
		n := len(k) / 2
		rows := func(x []float32) *tensor.Dense { return tensor.New(tensor.WithShape(1, n, 2), tensor.WithBacking(x)) }
		err := p.Run(graph.Values{
			"q": rows(make([]float32, len(k))), "k": rows(k), "v": rows(v),
			"past": tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{past})),
			"mask": tensor.New(tensor.WithShape(1, 4), tensor.WithBacking(mask)),
		})
		return p.Output("y").Float32s(), err
	}
	near := func(name string, got []float32, want ...float32) {
		t.Helper()
		for i := range want {
			if !(math.Abs(float64(got[i]-want[i])) < 1e-6) {
				t.Errorf("%s: %v, want %v", name, got, want)
				return
			}
		}
	}
	two, one := compile(2), compile(1)
	defer two.Close()
	defer one.Close()
	none := float32(math.Inf(-1))
	// Queries of 0 average the values they see.
	y, err := run(two, 0, []float32{1, 2, 3, 4}, []float32{2, 4, 6, 8}, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	near("prompt", y, 2, 4, 4, 6)
	y, err = run(one, 2, []float32{5, 6}, []float32{10, 0}, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	near("next", y, 6, 4)
	y, err = run(one, 3, []float32{7, 8}, []float32{4, 4}, none, 0, none, 0)
	if err != nil {
		t.Fatal(err)
	}
	near("masked", y, 5, 6)
	y, err = run(one, 3, []float32{7, 8}, []float32{4, 4}, none, none, none, none)
	if err != nil {
		t.Fatal(err)
	}
	near("nothing left", y, 0, 0)
	near("cache", keys.Float32s(), 1, 3, 5, 7, 2, 4, 6, 8)
	near("cache", values.Float32s(), 2, 4, 6, 8, 10, 0, 4, 4)
	for _, past := range []float32{-1, 0.5, 4} {
		if _, err := run(one, past, []float32{7, 8}, []float32{4, 4}, 0, 0, 0, 0); err == nil || !strings.Contains(err.Error(), "do not fit a cache of 4") {
			t.Errorf("%g tokens: %v", past, err)
		}
	}
}

func TestCachedAttentionRejects(t *testing.T) {
	for _, tt := range []struct {
		name                             string
		q, k, v, keys, values, past, add []int
		c                                op.CacheConfig
		want                             string
	}{
		{"keys of other tokens", []int{2, 1, 8}, []int{2, 3, 8}, []int{2, 3, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{1}, nil, op.CacheConfig{Heads: 2}, "1 queries with keys of 3 tokens"},
		{"heads", []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{1}, nil, op.CacheConfig{Heads: 3}, "3 heads do not divide"},
		{"cache of another layout", []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 4, 2, 5}, []int{2, 2, 5, 4}, []int{1}, nil, op.CacheConfig{Heads: 2}, "cache of keys has shape (2, 4, 2, 5), want (2, 2, 4, M)"},
		{"cache of other values", []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 2, 4, 5}, []int{2, 2, 6, 4}, []int{1}, nil, op.CacheConfig{Heads: 2}, "cache of values has shape (2, 2, 6, 4), want (2, 2, 5, 4)"},
		{"no tokens", []int{2, 0, 8}, []int{2, 0, 8}, []int{2, 0, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{1}, nil, op.CacheConfig{Heads: 2}, "no new tokens"},
		{"more than fit", []int{2, 6, 8}, []int{2, 6, 8}, []int{2, 6, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{1}, nil, op.CacheConfig{Heads: 2}, "6 new tokens for a cache of 5"},
		{"pasts of others", []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{3}, nil, op.CacheConfig{Heads: 2}, "past has shape (3), want (2) or (1)"},
		{"mask", []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{1}, []int{1, 5}, op.CacheConfig{Heads: 2}, "mask has shape (1, 5), want (2, 5)"},
		{"prefix", []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 1, 8}, []int{2, 2, 4, 5}, []int{2, 2, 5, 4}, []int{1}, nil, op.CacheConfig{Heads: 2, Prefix: -1}, "prefix of -1 tokens"},
	} {
		_, err := graph.Compile(func(b *graph.Builder) {
			var mask *graph.Node
			if tt.add != nil {
				mask = b.Input("mask", tt.add...)
			}
			b.Must(op.CachedAttention(b.Input("q", tt.q...), b.Input("k", tt.k...), b.Input("v", tt.v...),
				b.Input("keys", tt.keys...), b.Input("values", tt.values...), b.Input("past", tt.past...), mask, tt.c))
		}, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	_, err := graph.Compile(func(b *graph.Builder) {
		x, cache := b.Input("x", 1, 1, 2), b.Input("cache", 1, 1, 2, 2)
		b.Must(op.CachedAttention(x, x, x, cache, cache, b.Input("past", 1), nil, op.CacheConfig{Heads: 1}))
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "share a cache") {
		t.Errorf("one cache for both: %v", err)
	}
}
