package dalle

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/kernel/simd"
	"tessera/layers/sample"
)

// uncached draws an image by a pass over the whole sequence for every token.
type uncached struct {
	m    *Model
	prog *graph.Program
}

func newUncached(t testing.TB, m *Model) *uncached {
	t.Helper()
	prog, err := graph.Compile(outputs(m, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return &uncached{m, prog}
}

// scores are those of the token that follows the given ones.
func (u *uncached) scores(t testing.TB, text, begun []int) []float32 {
	t.Helper()
	image := append(slices.Clone(begun), make([]int, u.m.ImageTokens-len(begun))...)
	if err := u.prog.Run(inputs(t, u.m, [][]int{text}, [][]int{image})); err != nil {
		t.Fatal(err)
	}
	V := u.m.ImageVocab
	return slices.Clone(u.prog.Output("logits").Float32s()[len(begun)*V:][:V])
}

func (u *uncached) draw(t testing.TB, text, begun []int, o GenerateOptions, i int) []int {
	rng := rand.New(rand.NewPCG(o.Seed, uint64(i)))
	ids := slices.Clone(begun)
	for len(ids) < u.m.ImageTokens {
		scores := u.scores(t, text, ids)
		if o.guided() {
			sample.Guide(scores, scores, u.scores(t, nil, ids), float32(o.Guidance))
		}
		ids = append(ids, o.Sampler.Next(scores, ids, rng))
	}
	return ids
}

func TestGenerateEqualsUncached(t *testing.T) {
	for _, v := range variants {
		m := newTiny(t, v.set)
		u := newUncached(t, m)
		prompts := texts(m, 6, false)
		prompts = append(prompts, prompts[5])
		for _, tt := range []struct {
			name    string
			options GenerateOptions
			begun   int
		}{
			{"greedy", GenerateOptions{}, 0},
			{"temperature", GenerateOptions{Sampler: sample.Sampler{Temperature: 1.3}}, 0},
			{"top-k", GenerateOptions{Sampler: sample.Sampler{Temperature: 1, TopK: 4}}, 0},
			{"top-k above the vocabulary", GenerateOptions{Sampler: sample.Sampler{Temperature: 1, TopK: 100}}, 0},
			{"top-p", GenerateOptions{Sampler: sample.Sampler{Temperature: 1, TopP: .8}}, 0},
			{"min-p", GenerateOptions{Sampler: sample.Sampler{Temperature: 1, MinP: .05}}, 0},
			{"guidance", GenerateOptions{Sampler: sample.Sampler{Temperature: 1}, Guidance: 3}, 0},
			{"greedy with guidance", GenerateOptions{Guidance: 1.5}, 0},
			{"completion", GenerateOptions{Sampler: sample.Sampler{Temperature: 1}}, 3},
			{"completion of the last token", GenerateOptions{Sampler: sample.Sampler{Temperature: 1}}, 8},
			{"everything", GenerateOptions{Sampler: sample.Sampler{Temperature: 1.5, TopK: 9, TopP: .95, MinP: .01}, Guidance: 2}, 6},
		} {
			if tt.options.guided() && m.Padding == NoPadding {
				continue
			}
			t.Run(v.name+"/"+tt.name, func(t *testing.T) {
				o := tt.options
				o.Seed = 9
				begun := make([][]int, len(prompts))
				for i, ids := range images(m, len(prompts)) {
					begun[i] = ids[:tt.begun]
				}
				if tt.begun > 0 {
					o.Images = begun
				}
				var told [][]int
				o.Token = func(_ int, ids []int) error { told = append(told, slices.Clone(ids)); return nil }
				got, err := m.Generate(t.Context(), prompts, o)
				if err != nil {
					t.Fatal(err)
				}
				for i, ids := range got {
					if want := u.draw(t, prompts[i], begun[i], o, i); !slices.Equal(ids, want) {
						t.Errorf("image %d: %v, want %v", i, ids, want)
					}
					for k, row := range told {
						if row[i] != ids[tt.begun+k] {
							t.Errorf("image %d: told of %d at place %d, want %d", i, row[i], tt.begun+k, ids[tt.begun+k])
						}
					}
				}
				if len(told) != m.ImageTokens-tt.begun {
					t.Errorf("told of %d places, want %d", len(told), m.ImageTokens-tt.begun)
				}
				if same := slices.Equal(got[5], got[6]); same != (o.Sampler.Temperature == 0) && tt.begun == 0 {
					t.Errorf("images of one text are %v and %v", got[5], got[6])
				}
			})
		}
	}
}

// Scores with a cache have the bytes of scores without one, at every level of
// instructions.
func TestCachedScoresAreExact(t *testing.T) {
	for level := simd.AVX2; level <= simd.Best(); level++ {
		before := simd.Use(level)
		for _, v := range variants {
			m := newTiny(t, v.set)
			u := newUncached(t, m)
			text, image := texts(m, 6, false), images(m, 6)
			d, err := m.NewDecoder(len(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, begun := range []int{0, 4, 0} { // a decoder may be used again
				given := make([][]int, len(image))
				for i := range image {
					given[i] = image[i][:begun]
				}
				got, err := d.Start(text, given)
				for k := begun; ; k++ {
					if err != nil {
						t.Fatal(err)
					}
					for i := range text {
						if row := got[i*m.ImageVocab : (i+1)*m.ImageVocab]; !slices.Equal(row, u.scores(t, text[i], image[i][:k])) {
							t.Errorf("%v, %s: image %d, token %d: scores differ", level, v.name, i, k)
						}
					}
					if d.Past() != k {
						t.Errorf("%d image tokens taken, want %d", d.Past(), k)
					}
					if k == m.ImageTokens-1 {
						break
					}
					next := make([]int, len(image))
					for i := range image {
						next[i] = image[i][k]
					}
					got, err = d.Next(next)
				}
			}
			if _, err := d.Next(make([]int, len(text))); err == nil || !strings.Contains(err.Error(), "1 tokens after 8 of an image, want at most 8") {
				t.Errorf("a token too many: %v", err)
			}
			d.Close()
		}
		simd.Use(before)
	}
}

// An image depends on its text, the seed and its number alone.
func TestImagesAreIndependent(t *testing.T) {
	m := newTiny(t, func(*Config) {})
	o := GenerateOptions{Sampler: sample.Sampler{Temperature: 1}, Guidance: 2, Seed: 5}
	prompts := texts(m, 6, false)
	all, err := m.Generate(t.Context(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	two, err := m.Generate(t.Context(), prompts[:2], o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(all[0], two[0]) || !slices.Equal(all[1], two[1]) {
		t.Errorf("%v of six, %v of two", all[:2], two)
	}
	o.Seed = 6
	other, err := m.Generate(t.Context(), prompts, o)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(all) == fmt.Sprint(other) {
		t.Error("two seeds give the same images")
	}
}

func TestGenerateErrors(t *testing.T) {
	m := newTiny(t, func(*Config) {})
	full := newTiny(t, variants[3].set)
	broken := newTiny(t, func(*Config) {})
	for i := range broken.Norm.Bias.Float32s() {
		broken.Norm.Bias.Float32s()[i] = float32(math.NaN())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	enough := errors.New("enough")
	one := [][]int{{1}}
	for _, tt := range []struct {
		name  string
		m     *Model
		ctx   context.Context
		texts [][]int
		o     GenerateOptions
		want  string
	}{
		{"no text", m, t.Context(), nil, GenerateOptions{}, "no texts"},
		{"long text", m, t.Context(), [][]int{{1}, make([]int, 6)}, GenerateOptions{}, "text 1: dalle: a text of 6 tokens"},
		{"no such token", m, t.Context(), [][]int{{11}}, GenerateOptions{}, "token 0 of a text is 11"},
		{"sampler", m, t.Context(), one, GenerateOptions{Sampler: sample.Sampler{TopP: 2}}, "top-p is 2"},
		{"negative guidance", m, t.Context(), one, GenerateOptions{Guidance: -1}, "guidance scale is -1"},
		{"guidance that is no number", m, t.Context(), one, GenerateOptions{Guidance: math.NaN()}, "guidance scale is NaN"},
		{"guidance without padding", full, t.Context(), [][]int{make([]int, 5)}, GenerateOptions{Guidance: 2}, "knows no empty text"},
		{"whole image given", m, t.Context(), one, GenerateOptions{Images: [][]int{make([]int, 9)}}, "begin with 9 tokens, want less than 9"},
		{"beginnings for others", m, t.Context(), one, GenerateOptions{Images: [][]int{{1}, {2}}}, "the beginnings of 2 images, want 1"},
		{"uneven beginnings", m, t.Context(), [][]int{{1}, {2}}, GenerateOptions{Images: [][]int{{1}, {2, 3}}}, "image 1 begins with 2 tokens, image 0 with 1"},
		{"unknown image token", m, t.Context(), one, GenerateOptions{Images: [][]int{{13}}}, "not a whole number in [0, 13)"},
		{"canceled", m, canceled, one, GenerateOptions{}, "stopped after 0 of 9 tokens: context canceled"},
		{"callback", m, t.Context(), one, GenerateOptions{Token: func(int, []int) error { return enough }}, "enough"},
		{"no number", broken, t.Context(), one, GenerateOptions{}, "no token is possible at place 0"},
	} {
		if _, err := tt.m.Generate(tt.ctx, tt.texts, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := m.NewDecoder(0); err == nil {
		t.Error("a decoder of no images: no error")
	}
	d, err := m.NewDecoder(2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Next([]int{1, 2}); err == nil || !strings.Contains(err.Error(), "no texts") {
		t.Errorf("a step before the texts: %v", err)
	}
	if _, err := d.Next([]int{1}); err == nil || !strings.Contains(err.Error(), "1 tokens for 2 images") {
		t.Errorf("too few tokens: %v", err)
	}
	if _, err := d.Start(one, nil); err == nil || !strings.Contains(err.Error(), "1 texts for 2 images") {
		t.Errorf("too few texts: %v", err)
	}
}
