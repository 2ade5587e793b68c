package data

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNaming(t *testing.T) {
	known, fresh := NamingWords()
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
		if q := n.Question(ShapeSpec{Pair: Pair{2, 1}}); q.Answer != n[2] || strings.Contains(q.Text, "yellow") {
			t.Fatalf("%+v of naming %v", q, n)
		}
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
		for _, q := range n.Text(9, r) {
			if w, ok := named[q.Text]; ok && w != q.Answer || !slices.Contains(n, q.Answer) {
				t.Errorf("%q is answered %q and %q", q.Text, w, q.Answer)
			}
			named[q.Text] = q.Answer
		}
	}
	if len(seen) != len(fresh) {
		t.Errorf("yellow was called %d of %d words", len(seen), len(fresh))
	}
}
