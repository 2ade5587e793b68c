package data

import (
	"strings"
	"testing"
)

func TestQuestions(t *testing.T) {
	s := ShapeSpec{Pair: Pair{0, 0}, Large: true, Row: 2, Col: 1}
	want := []Question{
		{"what color is the circle?", "red"},
		{"which shape is red?", "circle"},
		{"is the circle small or large?", "large"},
		{"where is the circle?", "at the bottom"},
	}
	got := s.Questions()
	if len(got) != len(want) {
		t.Fatalf("%d questions, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("question %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	d := Shapes{N: 40, Size: 16, Seed: 5}
	for i := range d.N {
		caption := d.Spec(i).Caption()
		for _, q := range d.Questions(i) {
			if !strings.Contains(caption, q.Answer) {
				t.Errorf("%q is answered %q of %q", q.Text, q.Answer, caption)
			}
		}
	}
}
