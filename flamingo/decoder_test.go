package flamingo

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tessera/graph/kernel/simd"
)

func TestCachedEqualsFull(t *testing.T) {
	c := small()
	c.Every = 2
	for _, immediate := range []bool{true, false} {
		c.Immediate = immediate
		m := random(t, c)
		r := rand.New(rand.NewPCG(1, 2))
		for _, tt := range []struct {
			name    string
			prompts []Sequence
			steps   int
		}{
			{"no image", []Sequence{interleaved(r, c, 3)}, 4},
			{"one token", []Sequence{interleaved(r, c, 1, 0)}, 6},
			{"two images", []Sequence{interleaved(r, c, 9, 2, 6)}, 11},
			{"a batch", []Sequence{interleaved(r, c, 6, 1, 3), interleaved(r, c, 6, 0), interleaved(r, c, 6)}, 4},
			{"prompts of several lengths", []Sequence{interleaved(r, c, 7, 2, 4), interleaved(r, c, 2, 0), interleaved(r, c, 5)}, 5},
		} {
			V := c.Vocabulary()
			d, err := m.NewDecoder(len(tt.prompts), 2, c.Text.Context)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			for range 2 { // the second on a used cache
				texts := slices.Clone(tt.prompts)
				got, err := d.Start(texts)
				for step := 0; ; step++ {
					if err != nil {
						t.Fatalf("%s: %v", tt.name, err)
					}
					for i, s := range texts {
						want := logits(t, m, s)
						want = want[len(want)-V:]
						have := got[i*V : (i+1)*V]
						exact := simd.Active() != simd.None
						if off := difference(have, want); off > 1e-5 || exact && off != 0 {
							t.Errorf("%s: step %d: text %d: cached scores are off by %g", tt.name, step, i, off)
						}
					}
					if step == tt.steps {
						break
					}
					next := make([]int, len(texts))
					for i := range next {
						next[i] = r.IntN(c.Text.VocabSize)
						texts[i].IDs = append(slices.Clone(texts[i].IDs), next[i])
					}
					got, err = d.Next(next)
				}
			}
		}
	}
}

// Images of other sizes take another program for them, not for the text.
func TestDecoderTakesOtherImages(t *testing.T) {
	c := small()
	m := random(t, c)
	r := rand.New(rand.NewPCG(3, 4))
	d, err := m.NewDecoder(1, 1, c.Text.Context)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, patches := range []int{4, 7, 4, 1} {
		s := interleaved(r, c, 5, 1)
		s.Images[0] = picture(r, c, 2, patches)
		got, err := d.Start([]Sequence{s})
		if err != nil {
			t.Fatal(err)
		}
		want := logits(t, m, s)
		if off := difference(got, want[len(want)-len(got):]); off > 1e-5 {
			t.Errorf("%d patches: scores are off by %g", patches, off)
		}
	}
}

func TestDecoderErrors(t *testing.T) {
	c := small()
	m := random(t, c)
	r := rand.New(rand.NewPCG(1, 2))
	if _, err := m.NewDecoder(1, 0, 21); err == nil || !strings.Contains(err.Error(), "at most n_positions 20") {
		t.Errorf("capacity beyond the context: %v", err)
	}
	d, err := m.NewDecoder(2, 1, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Next([]int{1, 2}); err == nil || !strings.Contains(err.Error(), "has taken no prompts") {
		t.Errorf("no prompts: %v", err)
	}
	fine := interleaved(r, c, 3, 0)
	missing := interleaved(r, c, 4, 0)
	missing.Images = nil
	for _, tt := range []struct {
		name    string
		prompts []Sequence
		want    string
	}{
		{"too few", []Sequence{fine}, "1 prompts for 2 texts"},
		{"empty", []Sequence{fine, {}}, "prompt 1 is empty"},
		{"too long", []Sequence{fine, interleaved(r, c, 7)}, "a prompt of 7 tokens, want at most 6"},
		{"too many images", []Sequence{fine, interleaved(r, c, 5, 0, 1)}, "prompt 1 has 2 images, want at most 1"},
		{"no image", []Sequence{fine, missing}, "prompt 1: flamingo: 1 media tokens for 0 images"},
	} {
		if _, err := d.Start(tt.prompts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := d.Start([]Sequence{fine, fine}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Next([]int{1, c.Media}); err == nil || !strings.Contains(err.Error(), "a media token without an image") {
		t.Errorf("media token: %v", err)
	}
	if _, err := d.Next([]int{1}); err == nil || !strings.Contains(err.Error(), "1 tokens for 2 texts") {
		t.Errorf("too few tokens: %v", err)
	}
	for range 3 {
		if _, err := d.Next([]int{1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Next([]int{1, 2}); err == nil || !strings.Contains(err.Error(), "1 tokens after 6, want at most 6") {
		t.Errorf("full cache: %v", err)
	}
}

// logProbability is that of ids after a prompt, by passes without a cache in
// which media tokens and padding are impossible.
func logProbability(t *testing.T, m *Model, prompt Sequence, ids []int) float64 {
	t.Helper()
	s := prompt
	s.IDs = slices.Concat(prompt.IDs, ids)
	all := logits(t, m, s)
	sum := 0.0
	for i, id := range ids {
		scores := row(m.Config, all, len(prompt.IDs)-1+i)
		total := 0.0
		for j, v := range scores {
			if j != m.Config.Media && j != m.Padding {
				total += math.Exp(float64(v))
			}
		}
		sum += float64(scores[id]) - math.Log(total)
	}
	return sum
}
