package data

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNaming(t *testing.T) {
	known, fresh := NamingWords()
	if all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(known, fresh)))); len(all) != 112 {
		t.Fatalf("%d words, want 112", len(all))
	}
	for _, w := range fresh {
		if slices.Contains(known, w) {
			t.Errorf("%q is to train with and for tests", w)
		}
	}
	seen := map[string]map[string]bool{} // words of a color
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		n := NewNaming(fresh, r)
		if words := slices.Compact(slices.Sorted(slices.Values(n))); len(words) != len(shapeColors) {
			t.Fatalf("naming %v has %d words for %d colors", n, len(words), len(shapeColors))
		}
		if seen[n[2]] == nil {
			seen[n[2]] = map[string]bool{}
		}
		seen[n[2]]["yellow"] = true
		for count := range 6 {
			colors := n.Examples(3, count, r)
			own := 0
			for _, c := range colors {
				if c == 3 {
					own++
				}
			}
			if len(colors) != count || 2*own < count-1 || 2*own > count+1 {
				t.Errorf("%d examples of colors %v, want half of them 3", count, colors)
			}
			if kinds := slices.Compact(slices.Sorted(slices.Values(colors))); len(kinds) != min(count, 2) {
				t.Errorf("examples of colors %v, want two of them", colors)
			}
		}
		named := map[string]string{}
		sentences := strings.Split(strings.TrimSuffix(n.Text(9, r), "."), ". ")
		for _, s := range sentences {
			color, word, _ := strings.Cut(s, " is called ")
			if i := slices.Index(shapeColors[:], color); i < 0 || n[i] != word {
				t.Errorf("%q of naming %v", s, n)
			}
			named[color] = word
		}
		if len(sentences) != 9 || len(named) > 3 {
			t.Errorf("%d sentences about %d colors, want 9 about two or three", len(sentences), len(named))
		}
	}
	if len(seen) != len(fresh) {
		t.Errorf("yellow was called %d of %d words", len(seen), len(fresh))
	}
}
