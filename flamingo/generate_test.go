package flamingo

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"tessera/layers/sample"
)

func TestGenerateGreedily(t *testing.T) {
	c := small()
	m := random(t, c)
	r := rand.New(rand.NewPCG(1, 2))
	prompts := []Sequence{interleaved(r, c, 6, 1, 3), interleaved(r, c, 6, 0)}
	var told [2][]int
	out, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxTokens: 8, Token: func(text, id int) error {
		told[text] = append(told[text], id)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range prompts {
		for n := range 9 {
			all := logits(t, m, s)
			last := row(c, all, len(s.IDs)-1)
			last[c.Media], last[c.Padding] = -1e9, -1e9
			best := 0
			for id, v := range last {
				if v > last[best] {
					best = id
				}
			}
			if n == len(out[i]) {
				if n < 8 && best != c.EndChunk {
					t.Errorf("text %d ends before %d", i, best)
				}
				break
			}
			if out[i][n] != best {
				t.Fatalf("text %d: token %d is %d, want %d", i, n, out[i][n], best)
			}
			s.IDs = append(slices.Clone(s.IDs), best)
		}
		if !slices.Equal(told[i], out[i]) {
			t.Errorf("text %d: told of %v, want %v", i, told[i], out[i])
		}
	}
}

func TestGenerateSamples(t *testing.T) {
	c := small()
	m := random(t, c)
	r := rand.New(rand.NewPCG(1, 2))
	s := interleaved(r, c, 4, 1)
	o := GenerateOptions{MaxTokens: 16, Seed: 3, Sampler: sample.Sampler{Temperature: 2, RepetitionPenalty: 1.1}}
	prompts := slices.Repeat([]Sequence{s}, 12)
	a, err := m.Generate(t.Context(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Generate(t.Context(), prompts[:5], o)
	if err != nil {
		t.Fatal(err)
	}
	different := false
	for i := range a {
		different = different || !slices.Equal(a[i], a[0])
		if i < len(b) && !slices.Equal(a[i], b[i]) {
			t.Errorf("text %d is %v beside eleven others, %v beside four", i, a[i], b[i])
		}
		for _, id := range a[i] {
			if id == c.Media || id == c.Padding || id == c.EndChunk {
				t.Errorf("text %d has token %d", i, id)
			}
		}
	}
	if !different {
		t.Error("all samples are equal")
	}
}

func TestGenerateStops(t *testing.T) {
	c := small()
	m := random(t, c)
	s := interleaved(rand.New(rand.NewPCG(1, 2)), c, 4, 1)
	free, err := m.Generate(t.Context(), []Sequence{s}, GenerateOptions{MaxTokens: 6})
	if err != nil {
		t.Fatal(err)
	}
	if len(free[0]) < 2 {
		t.Fatalf("%v is too short for the test", free[0])
	}
	for _, beams := range []int{1, 2} {
		for _, n := range []int{0, 1} {
			out, err := m.Generate(t.Context(), []Sequence{s}, GenerateOptions{MaxTokens: 6, Stop: free[0][n : n+1]})
			if err != nil {
				t.Fatal(err)
			}
			if first := slices.Index(free[0], free[0][n]); beams == 1 && !slices.Equal(out[0], free[0][:first]) {
				t.Errorf("stopped at %d: %v, want %v", free[0][n], out[0], free[0][:first])
			}
		}
	}
}

// With as many beams as there are continuations, beam search finds the best.
func TestBeamSearchIsExhaustive(t *testing.T) {
	c := small()
	c.Text.VocabSize = 3
	c.Media, c.EndChunk, c.Padding = 3, 4, 5
	m := random(t, c)
	r := rand.New(rand.NewPCG(1, 2))
	prompts := []Sequence{interleaved(r, c, 5, 1), interleaved(r, c, 5, 0, 2)}
	for _, penalty := range []float64{0, 1.5} {
		out, err := m.Generate(t.Context(), prompts, GenerateOptions{MaxTokens: 3, Beams: 64, LengthPenalty: penalty})
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range prompts {
			best, score := []int(nil), 0.0
			g := &generation{GenerateOptions: GenerateOptions{LengthPenalty: penalty}}
			consider := func(ids []int, ended bool) {
				all := ids
				if ended {
					all = append(slices.Clone(ids), c.EndChunk)
				}
				v := g.byLength(logProbability(t, m, q, all), len(all))
				if best == nil || v > score {
					best, score = append([]int{}, ids...), v
				}
			}
			var extend func(ids []int)
			extend = func(ids []int) {
				if len(ids) == 3 {
					consider(ids, false)
					return
				}
				consider(ids, true)
				for id := range 3 {
					extend(append(slices.Clone(ids), id))
				}
			}
			extend(nil)
			if !slices.Equal(out[i], best) {
				t.Errorf("penalty %g: text %d continues with %v, want %v", penalty, i, out[i], best)
			}
		}
	}
}

// Two beams never end worse than the greedy continuation.
func TestBeamsBeatGreed(t *testing.T) {
	c := small()
	m := random(t, c)
	r := rand.New(rand.NewPCG(5, 2))
	for range 5 {
		s := interleaved(r, c, 5, 1, 2)
		score := func(beams int) float64 {
			out, err := m.Generate(t.Context(), []Sequence{s}, GenerateOptions{MaxTokens: 5, Beams: beams})
			if err != nil {
				t.Fatal(err)
			}
			if len(out[0]) < 5 {
				out[0] = append(out[0], c.EndChunk)
			}
			return logProbability(t, m, s, out[0])
		}
		if greedy, beams := score(1), score(8); beams < greedy-1e-4 {
			t.Errorf("8 beams reach %g, greed %g", beams, greedy)
		}
	}
}

func TestGenerateErrors(t *testing.T) {
	c := small()
	m := random(t, c)
	s := interleaved(rand.New(rand.NewPCG(1, 2)), c, 4, 1)
	full := interleaved(rand.New(rand.NewPCG(1, 2)), c, 21)
	wrong := errors.New("wrong")
	for _, tt := range []struct {
		name    string
		prompts []Sequence
		o       GenerateOptions
		want    string
	}{
		{"no prompts", nil, GenerateOptions{}, "want 1 to 20"},
		{"too long", []Sequence{full}, GenerateOptions{}, "prompts of up to 21 tokens"},
		{"negative length", []Sequence{s}, GenerateOptions{MaxTokens: -1}, "-1 new tokens"},
		{"negative beams", []Sequence{s}, GenerateOptions{Beams: -1}, "-1 beams"},
		{"sampler", []Sequence{s}, GenerateOptions{Sampler: sample.Sampler{TopP: 2}}, "top-p is 2"},
		{"told", []Sequence{s}, GenerateOptions{Token: func(int, int) error { return wrong }}, "wrong"},
	} {
		if _, err := m.Generate(t.Context(), tt.prompts, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, beams := range []int{0, 2} {
		if _, err := m.Generate(ctx, []Sequence{s}, GenerateOptions{Beams: beams}); !errors.Is(err, context.Canceled) {
			t.Errorf("%d beams: canceled: %v", beams, err)
		}
	}
}
