package gpt2

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/kernel/simd"
)

// tiny is a model of random values, some of them large, so that tokens differ
// clearly in their scores.
func tiny(t testing.TB) *Model {
	t.Helper()
	c := Small()
	c.VocabSize, c.Context, c.Width, c.Layers, c.Heads = 31, 24, 20, 3, 4
	c.InitializerRange = 0.2
	m, err := New(c, graph.Seed(4))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for p := range m.Params().All() {
		for i := range p.Float32s() {
			p.Float32s()[i] += 0.1 * float32(r.NormFloat64())
		}
	}
	return m
}

// full computes the scores (N, V) of a text without a cache.
func full(t testing.TB, m *Model, ids []int) []float32 {
	t.Helper()
	prog, err := graph.Compile(func(b *graph.Builder) { b.Output("logits", m.Logits(b, b.Input("ids", 1, len(ids)))) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	x := make([]float32, len(ids))
	for i, id := range ids {
		x[i] = float32(id)
	}
	if err := prog.Run(graph.Values{"ids": tensor.New(tensor.WithShape(1, len(ids)), tensor.WithBacking(x))}); err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), prog.Output("logits").Float32s()...)
}

func randomIDs(r *rand.Rand, n, vocabulary int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = r.IntN(vocabulary)
	}
	return ids
}

// tolerance of cached scores, relative to the largest, where equal bytes are
// not promised.
const tolerance = 2e-6

func agree(t *testing.T, what string, exact bool, got, want []float32) {
	t.Helper()
	scale, worst := 0.0, 0.0
	for i := range want {
		scale = max(scale, math.Abs(float64(want[i])))
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	if !(worst <= tolerance*scale) || len(got) != len(want) {
		t.Errorf("%s: cached scores are off by %g of %g", what, worst, scale)
	}
	if exact && !slices.Equal(got, want) {
		t.Errorf("%s: cached scores are off by %g, want equal bytes", what, worst)
	}
}

func TestCachedEqualsFull(t *testing.T) {
	m := tiny(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name             string
		prompts          []int // lengths
		steps, maxTokens int
	}{
		{"one token", []int{1}, 23, 24},
		{"a prompt", []int{7}, 5, 24},
		{"a full prompt", []int{24}, 0, 24},
		{"a batch", []int{5, 5, 5}, 4, 12},
		{"prompts of several lengths", []int{2, 9, 1, 6}, 8, 17},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := m.NewDecoder(len(tt.prompts), tt.maxTokens)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for round := range 2 { // the second on a used cache
				var texts [][]int
				for _, n := range tt.prompts {
					texts = append(texts, randomIDs(r, n, m.VocabSize))
				}
				got, err := d.Start(texts)
				for step := 0; ; step++ {
					if err != nil {
						t.Fatal(err)
					}
					for i, ids := range texts {
						want := full(t, m, ids)
						exact := simd.Active() != simd.None
						agree(t, tt.name, exact, got[i*m.VocabSize:(i+1)*m.VocabSize], want[len(want)-m.VocabSize:])
					}
					if step == tt.steps {
						break
					}
					next := randomIDs(r, len(texts), m.VocabSize)
					for i := range texts {
						texts[i] = append(texts[i], next[i])
					}
					got, err = d.Next(next)
				}
				if want := len(texts[0]); round == 0 && len(texts) == 1 && d.Past() != want {
					t.Errorf("%d tokens taken, want %d", d.Past(), want)
				}
			}
		})
	}
}

func TestDecoderErrors(t *testing.T) {
	m := tiny(t)
	if _, err := m.NewDecoder(1, 25); err == nil || !strings.Contains(err.Error(), "at most n_positions 24") {
		t.Errorf("capacity beyond the context: %v", err)
	}
	if _, err := m.NewDecoder(0, 5); err == nil {
		t.Error("no texts: no error")
	}
	d, err := m.NewDecoder(2, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, tt := range []struct {
		name    string
		prompts [][]int
		want    string
	}{
		{"too few", [][]int{{1}}, "1 prompts for 2 texts"},
		{"empty", [][]int{{1}, {}}, "prompt 1 is empty"},
		{"too long", [][]int{{1}, {1, 2, 3, 4, 5}}, "a prompt of 5 tokens, want at most 4"},
		{"no such token", [][]int{{1}, {31}}, "not a whole number in [0, 31)"},
		{"negative", [][]int{{-1, 2}, {3, 4}}, "not a whole number in [0, 31)"},
	} {
		if _, err := d.Start(tt.prompts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := d.Start([][]int{{1, 2, 3}, {4}}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next([]int{1}); err == nil || !strings.Contains(err.Error(), "1 tokens for 2 texts") {
		t.Errorf("too few tokens: %v", err)
	}
	if _, err := d.Next([]int{1, 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next([]int{1, 2}); err == nil || !strings.Contains(err.Error(), "1 tokens after 4, want at most 4") {
		t.Errorf("full cache: %v", err)
	}
}

// Sums over more tokens than a product takes at once, at every level of
// instructions.
func TestLongTextsAreExact(t *testing.T) {
	c := Small()
	c.VocabSize, c.Context, c.Width, c.Layers, c.Heads, c.InitializerRange = 11, 900, 48, 1, 2, 0.2
	m, err := New(c, graph.Seed(8))
	if err != nil {
		t.Fatal(err)
	}
	ids := randomIDs(rand.New(rand.NewPCG(1, 3)), 803, c.VocabSize)
	for level := simd.AVX2; level <= simd.Best(); level++ {
		before := simd.Use(level)
		want := full(t, m, ids)
		d, err := m.NewDecoder(1, c.Context)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Start([][]int{ids[:790]})
		for n := 790; ; n++ {
			if err != nil {
				t.Fatal(err)
			}
			agree(t, level.String(), true, got, want[(n-1)*c.VocabSize:n*c.VocabSize])
			if n == len(ids) {
				break
			}
			got, err = d.Next(ids[n : n+1])
		}
		d.Close()
		simd.Use(before)
	}
}
