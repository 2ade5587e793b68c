package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var inf, nan = float32(math.Inf(1)), float32(math.NaN())

// logs turns probabilities into logits with an arbitrary offset.
func logs(p ...float64) []float32 {
	l := make([]float32, len(p))
	for i, v := range p {
		l[i] = float32(math.Log(v)) + 3
	}
	return l
}

func TestProbabilities(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sampler Sampler
		logits  []float32
		before  []int
		want    []float64
	}{
		{"greedy", Sampler{}, logs(.2, .5, .3), nil, []float64{0, 1, 0}},
		{"greedy takes the first of equals", Sampler{TopK: 5}, logs(.2, .4, .4), nil, []float64{0, 1, 0}},
		{"as they are", Sampler{Temperature: 1}, logs(.2, .5, .3), nil, []float64{.2, .5, .3}},
		{"colder", Sampler{Temperature: .5}, logs(.2, .4, .4), nil, []float64{1. / 9, 4. / 9, 4. / 9}},
		{"warmer", Sampler{Temperature: 2}, logs(.04, .64, .32), nil, []float64{.2 / (1 + math.Sqrt(.32)), .8 / (1 + math.Sqrt(.32)), math.Sqrt(.32) / (1 + math.Sqrt(.32))}},
		{"one of k", Sampler{Temperature: 1, TopK: 1}, logs(.2, .5, .3), nil, []float64{0, 1, 0}},
		{"two of k", Sampler{Temperature: 1, TopK: 2}, logs(.2, .5, .3), nil, []float64{0, .625, .375}},
		{"k of all", Sampler{Temperature: 1, TopK: 3}, logs(.2, .5, .3), nil, []float64{.2, .5, .3}},
		{"k beyond the vocabulary", Sampler{Temperature: 1, TopK: 100}, logs(.2, .5, .3), nil, []float64{.2, .5, .3}},
		{"k of equals", Sampler{Temperature: 1, TopK: 2}, logs(.25, .25, .25, .25), nil, []float64{.5, .5, 0, 0}},
		{"p below the first", Sampler{Temperature: 1, TopP: .4}, logs(.2, .5, .3), nil, []float64{0, 1, 0}},
		{"p reached by two", Sampler{Temperature: 1, TopP: .7}, logs(.2, .5, .3), nil, []float64{0, .625, .375}},
		{"p of all", Sampler{Temperature: 1, TopP: 1}, logs(.2, .5, .3), nil, []float64{.2, .5, .3}},
		{"p of the k", Sampler{Temperature: 1, TopK: 2, TopP: .6}, logs(.2, .5, .3), nil, []float64{0, 1, 0}},
		{"p of more than k", Sampler{Temperature: 1, TopK: 2, TopP: .99}, logs(.2, .5, .3), nil, []float64{0, .625, .375}},
		{"min-p", Sampler{Temperature: 1, MinP: .5}, logs(.2, .5, .3), nil, []float64{0, .625, .375}},
		{"min-p of 1", Sampler{Temperature: 1, MinP: 1}, logs(.2, .4, .4), nil, []float64{0, .5, .5}},
		{"min-p of the k", Sampler{Temperature: 1, MinP: .1, TopK: 2}, logs(.2, .5, .3), nil, []float64{0, .625, .375}},
		{"impossible ones", Sampler{Temperature: 1, TopK: 4}, []float32{-inf, 0, nan, 0}, nil, []float64{0, .5, 0, .5}},
		{"certain one", Sampler{Temperature: 1}, []float32{0, inf, 3, inf}, nil, []float64{0, 1, 0, 0}},
		{"none possible", Sampler{Temperature: 1}, []float32{-inf, nan}, nil, []float64{0, 0}},
		{"none possible, greedy", Sampler{}, []float32{-inf, nan}, nil, []float64{0, 0}},
		{"no vocabulary", Sampler{Temperature: 1, TopP: .5}, nil, nil, nil},
		{"repeated once or twice", Sampler{Temperature: 1, RepetitionPenalty: 2}, []float32{2, -1, 1, 0},
			[]int{0, 1, 0, 9, -1}, softmax(1, -2, 1, 0)},
		{"no penalty", Sampler{Temperature: 1, RepetitionPenalty: 1}, logs(.2, .8), []int{1}, []float64{.2, .8}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.sampler.Validate(); err != nil {
				t.Fatal(err)
			}
			kept := slices.Clone(tt.logits)
			for round := range 2 { // the second with used scratch
				got := make([]float64, len(tt.want))
				tt.sampler.Probabilities(got, tt.logits, tt.before)
				for i := range got {
					if !(math.Abs(got[i]-tt.want[i]) < 1e-6) {
						t.Fatalf("round %d: probabilities %v, want %v", round, got, tt.want)
					}
				}
				drawn(t, &tt.sampler, tt.logits, tt.before, tt.want)
			}
			for i := range kept {
				if math.Float32bits(kept[i]) != math.Float32bits(tt.logits[i]) {
					t.Fatal("the logits were changed")
				}
			}
		})
	}
}

func softmax(x ...float64) []float64 {
	total := 0.0
	for i := range x {
		x[i] = math.Exp(x[i])
		total += x[i]
	}
	for i := range x {
		x[i] /= total
	}
	return x
}

// drawn fails unless the tokens of many draws have the probabilities p, by a
// chi-square test that a right sampler fails once in a million times.
func drawn(t *testing.T, s *Sampler, logits []float32, before []int, p []float64) {
	t.Helper()
	const draws = 20000
	rng := rand.New(rand.NewPCG(1, 2))
	counts := make([]int, len(p))
	possible := slices.ContainsFunc(p, func(v float64) bool { return v > 0 })
	for range draws {
		i := s.Next(logits, before, rng)
		if !possible {
			if i != -1 {
				t.Fatalf("token %d drawn where none is possible", i)
			}
			continue
		}
		counts[i]++
	}
	chi := 0.0
	for i, v := range p {
		e := v * draws
		if v == 0 {
			if counts[i] > 0 {
				t.Fatalf("token %d of probability 0 drawn %d times", i, counts[i])
			}
			continue
		}
		chi += (float64(counts[i]) - e) * (float64(counts[i]) - e) / e
	}
	if chi > 30.7 { // of up to 3 degrees of freedom
		t.Errorf("chi-square is %g: drawn %v of %d, probabilities %v", chi, counts, draws, p)
	}
}

// Restricted candidates of a large vocabulary are those of sorting it.
func TestLargeVocabulary(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	logits := make([]float32, 5000)
	for i := range logits {
		logits[i] = float32(rng.IntN(400)) / 50 // with equals
	}
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if logits[i] == logits[j] {
			return i - j
		}
		if logits[i] > logits[j] {
			return -1
		}
		return 1
	})
	for _, k := range []int{1, 2, 40, 4999, 5000} {
		s := Sampler{Temperature: 1, TopK: k}
		p := make([]float64, len(logits))
		s.Probabilities(p, logits, nil)
		for rank, id := range order {
			if (p[id] > 0) != (rank < k) {
				t.Fatalf("top %d: token %d of rank %d has probability %g", k, id, rank, p[id])
			}
		}
	}
}

func TestSameSeedSameTokens(t *testing.T) {
	logits := logs(.1, .2, .3, .4)
	draw := func() []int {
		s := Sampler{Temperature: .8, TopP: .95}
		rng := rand.New(rand.NewPCG(7, 7))
		var ids []int
		for range 50 {
			ids = append(ids, s.Next(logits, ids, rng))
		}
		return ids
	}
	a, b := draw(), draw()
	if !slices.Equal(a, b) {
		t.Errorf("%v and %v", a, b)
	}
	if slices.Max(a) == slices.Min(a) {
		t.Error("all tokens are equal")
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	s := Sampler{Temperature: 1, TopK: 5, TopP: .9, MinP: .01, RepetitionPenalty: 1.2}
	rng := rand.New(rand.NewPCG(1, 1))
	logits := make([]float32, 1000)
	for i := range logits {
		logits[i] = rng.Float32()
	}
	before := []int{1, 2, 3}
	if n := testing.AllocsPerRun(20, func() { s.Next(logits, before, rng) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestValidate(t *testing.T) {
	bad := Sampler{RepetitionPenalty: -1, Temperature: math.NaN(), TopK: -3, TopP: 1.5, MinP: math.NaN()}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"repetition penalty is -1", "temperature is NaN", "top-k is -3", "top-p is 1.5", "min-p is NaN"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want one with %q", err, want)
		}
	}
}

func TestGuide(t *testing.T) {
	cond, uncond := []float32{1, 2, 0.1}, []float32{3, -2, 0.3}
	for _, tt := range []struct {
		scale float32
		want  []float32
	}{
		{0, uncond}, {1, cond}, {2, []float32{-1, 6, 0.3 + 2*(float32(0.1)-0.3)}}, {-1, []float32{5, -6, 0.3 - (float32(0.1) - 0.3)}},
	} {
		dst := make([]float32, 3)
		Guide(dst, cond, uncond, tt.scale)
		if !slices.Equal(dst, tt.want) {
			t.Errorf("scale %g: %v, want %v", tt.scale, dst, tt.want)
		}
	}
	same := slices.Clone(cond)
	Guide(same, same, uncond, 2)
	if same[1] != 6 {
		t.Errorf("in place: %v", same)
	}
}
