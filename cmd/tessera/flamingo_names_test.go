package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/flamingo"
	"tessera/train/data"
)

// albumOf are the first n shapes, without pixels.
func albumOf(n int, words []string) *album {
	s := data.Shapes{N: n, Size: data.MinShapeSize, Seed: 4}
	var images []asked
	for i := range n {
		spec := s.Spec(i)
		images = append(images, asked{image: flamingo.Image{Frames: i + 1}, spec: &spec})
	}
	return newAlbum(images, words)
}

// What a color is called follows from the examples before wherever it is to be
// learned, and nowhere else.
func TestNamed(t *testing.T) {
	words, _ := data.NamingWords()
	a := albumOf(60, words)
	for i := range a.images {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		chunks := a.named(a, i, 4, r)
		called := map[int]string{} // by color
		for k, c := range chunks {
			im := c.image.Frames - 1
			if (im == i) != (k == len(chunks)-1) {
				t.Fatalf("image %d is asked about in place %d of %d about %d", im, k, len(chunks), i)
			}
			color := a.images[im].spec.Color
			word, known := called[color]
			if c.given == known || known && word != c.answer || !slices.Contains(words, c.answer) {
				t.Errorf("image %d, place %d: %q, given %v; before %v", i, k, c.answer, c.given, called)
			}
			called[color] = c.answer
		}
		if len(called) > 2 {
			t.Errorf("image %d: %d colors are named, want at most 2", i, len(called))
		}
		if n := len(a.named(a, i, 0, r)); n != 1 {
			t.Errorf("image %d without examples: %d chunks", i, n)
		}
	}
	first, again := a.named(a, 7, 4, rand.New(rand.NewPCG(1, 1))), a.named(a, 7, 4, rand.New(rand.NewPCG(1, 1)))
	if fmt.Sprint(first) != fmt.Sprint(again) {
		t.Error("the same seed gives other examples")
	}
	if alone := albumOf(1, words); len(alone.named(alone, 0, 4, rand.New(rand.NewPCG(1, 1)))) != 1 {
		t.Error("an image is its own example")
	}
}

func TestNamesOf(t *testing.T) {
	for _, tt := range []struct {
		spec, plain string
		names       bool
	}{
		{"shapes", "shapes", false},
		{"shapes-words", "shapes", true},
		{"shapes-words:50", "shapes:50", true},
		{"shapes-wordsmith", "shapes-wordsmith", false},
		{"", "", false},
	} {
		if plain, names := namesOf(tt.spec); plain != tt.plain || names != tt.names {
			t.Errorf("%q is %q, %v; want %q, %v", tt.spec, plain, names, tt.plain, tt.names)
		}
	}
}

// Texts about names are trained with and counted apart; what is shown
// of an image is what the flag says.
func TestFlamingoNames(t *testing.T) {
	language, vision := tinyLanguage(t), tiny(t)
	sizes := map[string]int{}
	for _, show := range []string{"patches", "class", "all"} {
		dir := filepath.Join(t.TempDir(), "run")
		args := append(flamingoArgs(language, vision, dir), "--show", show)
		args[slices.Index(args, "shapes:24")] = "shapes-words:24"
		ok(t, args...)
		c, err := flamingo.ReadConfig(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := flamingo.ParseShown(show); err != nil || c.Shown != s {
			t.Errorf("--show %s: the configuration says %q, error %v", show, c.Shown, err)
		}
		sizes[show] = c.Patches
		for _, spec := range []string{"shapes-words:24", "shapes:24"} {
			out := ok(t, "flamingo", "eval", "--model", dir, "--data", spec, "--n", "2", "--shots", "1", "--max-tokens", "3", "--json")
			var s struct{ Parts []map[string]any }
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				t.Fatal(err)
			}
			if _, has := s.Parts[0]["names"]; has != strings.Contains(spec, "words") || s.Parts[0]["questions"] != 8.0 {
				t.Errorf("%s: %v", spec, s.Parts[0])
			}
		}
	}
	if n := sizes["patches"]; n < 2 || sizes["all"] != n+1 || sizes["class"] != 1 {
		t.Errorf("tokens of an image: %v", sizes)
	}
}
