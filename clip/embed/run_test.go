package embed

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPortion(t *testing.T) {
	for _, tt := range []struct{ n, most, want int }{{1, 16, 1}, {2, 16, 1}, {3, 3, 1}, {4, 16, 4}, {15, 16, 4}, {16, 16, 16}, {17, 16, 16}, {100, 64, 32}, {100, 0, 1}} {
		if got := portion(tt.n, tt.most); got != tt.want {
			t.Errorf("of %d at most %d: %d, want %d", tt.n, tt.most, got, tt.want)
		}
	}
}

func TestPadded(t *testing.T) {
	for _, tt := range []struct{ n, context, want int }{{1, 77, 8}, {8, 77, 8}, {9, 77, 12}, {33, 77, 48}, {65, 77, 77}, {77, 77, 77}, {7, 8, 8}, {3, 5, 5}, {64, 64, 64}} {
		if got := padded(tt.n, tt.context); got != tt.want {
			t.Errorf("%d tokens of a context of %d are padded to %d, want %d", tt.n, tt.context, got, tt.want)
		}
	}
}

// TestPrograms wants those used last to be kept, and texts embedded in any
// company to be the same.
func TestPrograms(t *testing.T) {
	m, err := Open("../../testdata/clip/tiny", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.texts.kept = 2
	var texts []string
	for i := range 80 {
		texts = append(texts, strings.Repeat("red ", i%7)+fmt.Sprint(i))
	}
	all, err := m.Texts(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.texts.last) != 2 {
		t.Errorf("%d programs are kept, want 2", len(m.texts.last))
	}
	for round := range 2 {
		for i, text := range texts {
			one, err := m.Texts(t.Context(), []string{text})
			if err != nil {
				t.Fatal(err)
			}
			if d := 1 - cosine(one[0], all[i]); d > 1e-5 || d < -1e-5 {
				t.Errorf("round %d: text %q alone and among others differ by %g", round, text, d)
			}
		}
	}
	var sizes []size
	for _, p := range m.texts.last {
		sizes = append(sizes, p.size)
	}
	if len(sizes) != 2 || slices.ContainsFunc(sizes, func(s size) bool { return s.n != 1 }) {
		t.Errorf("programs of the sizes %v are kept, want the last two of one text each", sizes)
	}
}
