package flamingo

import (
	"math"
	"testing"
)

func TestScores(t *testing.T) {
	refs := []string{"a small red circle at the top", "a large blue square on the left", "a small green star in the center"}
	for _, tt := range []struct {
		name        string
		captions    []string
		bleu, cider float64
	}{
		{"equal", refs, 1, 10},
		{"case and punctuation", []string{"A small, red circle at the top.", refs[1], refs[2]}, 1, 10},
		{"nothing right", []string{"x", "y", "z"}, 0, 0},
		{"empty", []string{"", "", ""}, 0, 0},
		{"no captions", nil, 0, 0},
	} {
		r := refs[:len(tt.captions)]
		if got := BLEU(tt.captions, r); math.Abs(got-tt.bleu) > 1e-12 {
			t.Errorf("%s: BLEU %g, want %g", tt.name, got, tt.bleu)
		}
		if got := CIDEr(tt.captions, r); math.Abs(got-tt.cider) > 1e-9 {
			t.Errorf("%s: CIDEr %g, want %g", tt.name, got, tt.cider)
		}
	}
	// Precisions for runs of 1 to 4 words, the third of seven being wrong.
	got := BLEU([]string{"a large red square on the left"}, refs[1:2])
	if want := math.Pow(6./7*4/6*2/5*1/4, 0.25); math.Abs(got-want) > 1e-12 {
		t.Errorf("BLEU of one wrong word is %g, want %g", got, want)
	}
	// Four of seven words, all right: only brevity counts.
	got = BLEU([]string{"a large blue square"}, refs[1:2])
	if want := math.Exp(1 - 7./4); math.Abs(got-want) > 1e-12 {
		t.Errorf("BLEU of half a caption is %g, want %g", got, want)
	}
	one := CIDEr([]string{"a small red circle at the top", refs[1], "a small red star in the center"}, refs)
	if one <= 5 || one >= 10 {
		t.Errorf("CIDEr of one wrong word is %g", one)
	}
}
