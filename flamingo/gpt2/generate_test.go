package gpt2

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"tessera/layers/sample"
)

// uncached continues a prompt by the whole text's scores at every step.
func uncached(t *testing.T, m *Model, prompt []int, n int, s sample.Sampler, rng *rand.Rand) []int {
	ids := slices.Clone(prompt)
	for range n {
		l := full(t, m, ids)
		ids = append(ids, s.Next(l[len(l)-m.VocabSize:], ids, rng))
	}
	return ids[len(prompt):]
}

func TestGenerateEqualsUncached(t *testing.T) {
	m := tiny(t)
	prompt := []int{3, 1, 4, 1, 5}
	for _, tt := range []struct {
		name    string
		sampler sample.Sampler
	}{
		{"greedy", sample.Sampler{}},
		{"temperature", sample.Sampler{Temperature: 1.3}},
		{"top-k", sample.Sampler{Temperature: 1, TopK: 7}},
		{"top-p", sample.Sampler{Temperature: 1, TopP: .8}},
		{"min-p", sample.Sampler{Temperature: 1, MinP: .05}},
		{"all, with a penalty", sample.Sampler{Temperature: 1.5, TopK: 20, TopP: .95, MinP: .01, RepetitionPenalty: 1.3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := m.Generate(t.Context(), slices.Repeat([][]int{prompt}, 3), GenerateOptions{MaxTokens: 15, Sampler: tt.sampler, Seed: 9})
			if err != nil {
				t.Fatal(err)
			}
			for i, ids := range got {
				want := uncached(t, m, prompt, 15, tt.sampler, rand.New(rand.NewPCG(9, uint64(i))))
				if !slices.Equal(ids, want) {
					t.Errorf("sample %d: %v, want %v", i, ids, want)
				}
			}
			if same := slices.Equal(got[0], got[1]); same != (tt.name == "greedy") {
				t.Errorf("samples %v and %v", got[0], got[1])
			}
		})
	}
}

func TestGenerateEnds(t *testing.T) {
	m := tiny(t)
	prompt := []int{3, 1, 4}
	greedy, err := m.Generate(t.Context(), [][]int{prompt}, GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(greedy[0]); n != m.Context-len(prompt)+1 {
		t.Errorf("%d tokens, want the context full and one more", n)
	}
	stop := greedy[0][4]
	at := slices.Index(greedy[0], stop)
	for _, tt := range []struct {
		name    string
		options GenerateOptions
		want    int // tokens
	}{
		{"one token", GenerateOptions{MaxTokens: 1}, 1},
		{"some tokens", GenerateOptions{MaxTokens: 7}, 7},
		{"more than fit", GenerateOptions{MaxTokens: 1000}, 22},
		{"a stop token", GenerateOptions{Stop: []int{-1, stop}}, at},
	} {
		var told []int
		tt.options.Token = func(_, id int) error { told = append(told, id); return nil }
		got, err := m.Generate(t.Context(), [][]int{prompt}, tt.options)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0], greedy[0][:tt.want]) || !slices.Equal(told, got[0]) {
			t.Errorf("%s: %v, told %v, want %v", tt.name, got[0], told, greedy[0][:tt.want])
		}
	}
	if got, err := m.Generate(t.Context(), [][]int{greedy[0][:1]}, GenerateOptions{MaxTokens: 24}); err != nil || len(got[0]) != 24 {
		t.Errorf("from one token: %d tokens, %v", len(got[0]), err)
	}
	whole := randomIDs(rand.New(rand.NewPCG(1, 1)), m.Context, m.VocabSize)
	if got, err := m.Generate(t.Context(), [][]int{whole}, GenerateOptions{}); err != nil || len(got[0]) != 1 {
		t.Errorf("from a full context: %v, %v", got, err)
	}
}

// A text that ends early, or a longer one, leaves the others as they are.
func TestGenerateTextsAreIndependent(t *testing.T) {
	m := tiny(t)
	o := GenerateOptions{MaxTokens: 12, Sampler: sample.Sampler{Temperature: 2}, Seed: 3, Stop: []int{0, 1, 2, 3}}
	prompts := [][]int{{5, 6}, {7}, {5, 6, 7, 8, 9}, {5, 6}, {5, 6}, {4}}
	d, err := m.NewDecoder(len(prompts), 20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	unstopped := o
	unstopped.Stop = nil
	whole, err := d.Generate(t.Context(), prompts, unstopped)
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[int]bool{}
	for range 2 { // a decoder may be used again
		all, err := d.Generate(t.Context(), prompts, o)
		if err != nil {
			t.Fatal(err)
		}
		two, err := m.Generate(t.Context(), prompts[:2], o)
		if err != nil {
			t.Fatal(err)
		}
		for i, ids := range all {
			lengths[len(ids)] = true
			end := slices.IndexFunc(whole[i], func(id int) bool { return slices.Contains(o.Stop, id) })
			if end < 0 {
				end = len(whole[i])
			}
			if !slices.Equal(ids, whole[i][:end]) {
				t.Errorf("text %d is %v, without a stop %v", i, ids, whole[i])
			}
			if i < 2 && !slices.Equal(ids, two[i]) {
				t.Errorf("text %d of 6 is %v, of 2 %v", i, ids, two[i])
			}
		}
	}
	if len(lengths) < 2 {
		t.Error("all texts are of one length")
	}
}

func TestGenerateErrors(t *testing.T) {
	m := tiny(t)
	broken := tiny(t)
	for i := range broken.Norm.Bias.Float32s() {
		broken.Norm.Bias.Float32s()[i] = float32(math.NaN())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	enough := errors.New("enough")
	for _, tt := range []struct {
		name    string
		m       *Model
		ctx     context.Context
		prompts [][]int
		options GenerateOptions
		want    string
	}{
		{"no prompt", m, t.Context(), nil, GenerateOptions{}, "prompts of up to 0 tokens, want 1 to 24"},
		{"long prompt", m, t.Context(), [][]int{make([]int, 25)}, GenerateOptions{}, "prompts of up to 25 tokens"},
		{"no such token", m, t.Context(), [][]int{{31}}, GenerateOptions{}, "id 31 is not a whole number in [0, 31)"},
		{"sampler", m, t.Context(), [][]int{{1}}, GenerateOptions{Sampler: sample.Sampler{TopP: 2}}, "top-p is 2"},
		{"one empty", m, t.Context(), [][]int{{1}, {}}, GenerateOptions{}, "prompt 1 is empty"},
		{"tokens", m, t.Context(), [][]int{{1}}, GenerateOptions{MaxTokens: -1}, "-1 new tokens"},
		{"canceled", m, canceled, [][]int{{1}}, GenerateOptions{}, "context canceled"},
		{"callback", m, t.Context(), [][]int{{1}}, GenerateOptions{Token: func(int, int) error { return enough }}, "enough"},
		{"no number", broken, t.Context(), [][]int{{1}}, GenerateOptions{}, "no token is possible after 1"},
	} {
		if _, err := tt.m.Generate(tt.ctx, tt.prompts, tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}
