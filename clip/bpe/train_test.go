package bpe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTrainJoinsTheMostFrequentPairs(t *testing.T) {
	texts := []string{"low low low low low", "lower lower", "newest newest newest newest newest newest", "widest widest widest"}
	tok, err := Train(slices.Values(texts), 514+6, HuggingFace)
	if err != nil {
		t.Fatal(err)
	}
	// The example of arXiv:1508.07909. Equal counts: es and st</w> occur 9 times
	// each and e has the lowest id.
	want := [][2]string{{"e", "s"}, {"es", "t</w>"}, {"l", "o"}, {"e", "w"}, {"n", "ew"}, {"new", "est</w>"}}
	if !slices.Equal(tok.table, want) {
		t.Errorf("merges %v, want %v", tok.table, want)
	}
	if tok.Size() != 520 || tok.Start() != 518 || tok.End() != 519 {
		t.Errorf("size %d, start %d, end %d, want 520, 518, 519", tok.Size(), tok.Start(), tok.End())
	}
	if got, want := tok.Encode("newest"), []int{518, 517, 519}; !slices.Equal(got, want) {
		t.Errorf("newest has ids %v, want %v", got, want)
	}
}

func TestTrainStops(t *testing.T) {
	for _, tt := range []struct {
		name  string
		texts []string
		size  int
		c     Cleaning
		want  int // tokens; 0: an error
	}{
		{"no text", nil, 1000, OpenAI, 514},
		{"no pair twice", []string{"ab cd"}, 1000, OpenAI, 514},
		{"a pair twice", []string{"ab", "ab"}, 1000, OpenAI, 515},
		{"a run of one letter", []string{"aaaaaaaa"}, 1000, HuggingFace, 514 + 2}, // aa, aaaa; then aaaa occurs once
		{"GPT-2's", []string{"ab ab ab"}, 1000, "", 257 + 2},
		{"no room", []string{"ab ab"}, 514, OpenAI, 514},
		{"too small", []string{"ab ab"}, 513, OpenAI, 0},
		{"too small for GPT-2's", nil, 256, "", 0},
		{"unknown cleaning", nil, 1000, "soap", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := Train(slices.Values(tt.texts), tt.size, tt.c)
			switch {
			case tt.want == 0 && err == nil:
				t.Errorf("got %d tokens, want an error", tok.Size())
			case tt.want != 0 && err != nil:
				t.Error(err)
			case tt.want != 0 && tok.Size() != tt.want:
				t.Errorf("got %d tokens and merges %v, want %d", tok.Size(), tok.table, tt.want)
			}
		})
	}
}

// captions are random sentences of few words.
func captions(n int) []string {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("a photo of the small large red green blue circle square triangle above below banana naïve 日本 don't 42 …")
	texts := make([]string, n)
	for i := range texts {
		var s []string
		for range 1 + rng.IntN(12) {
			s = append(s, words[rng.IntN(len(words))])
		}
		texts[i] = strings.Join(s, " ")
	}
	return texts
}

// recount trains in the plain way: it counts all pairs before every merge.
func recount(texts []string, size int) [][2]string {
	first := CLIPTokens()
	ids := map[string]int{}
	for _, s := range first {
		ids[s] = len(ids)
	}
	var splits [][]string
	var counts []int
	for w, n := range words(slices.Values(texts), HuggingFace) {
		var parts []string
		a := newAlphabet()
		for i := range len(w) {
			parts = append(parts, a.symbol(w[i]))
		}
		parts[len(parts)-1] += wordEnd
		splits, counts = append(splits, parts), append(counts, n)
	}
	var table [][2]string
	for len(ids) < size-2 {
		pairs := map[[2]string]int{}
		for k, parts := range splits {
			for i := range len(parts) - 1 {
				pairs[[2]string{parts[i], parts[i+1]}] += counts[k]
			}
		}
		var best [2]string
		for p, n := range pairs {
			if m := pairs[best]; n > m || n == m && (ids[p[0]] < ids[best[0]] || p[0] == best[0] && ids[p[1]] < ids[best[1]]) {
				best = p
			}
		}
		if pairs[best] < 2 {
			break
		}
		if !slices.Contains(table, best) {
			table = append(table, best)
		}
		if _, ok := ids[best[0]+best[1]]; !ok {
			ids[best[0]+best[1]] = len(ids)
		}
		for k, parts := range splits {
			splits[k] = joinAll(parts, best)
		}
	}
	return table
}

// CLIPTokens are the symbols that CLIP's vocabularies begin with.
func CLIPTokens() []string {
	var s []string
	a := newAlphabet()
	for _, suffix := range []string{"", wordEnd} {
		for _, b := range a.sorted {
			s = append(s, a.symbol(b)+suffix)
		}
	}
	return s
}

func TestTrainEqualsRecounting(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		var texts []string
		for range 1 + rng.IntN(60) {
			n := 1 + rng.IntN(14)
			var s strings.Builder
			for range n {
				s.WriteByte("aaabbc "[rng.IntN(7)])
			}
			texts = append(texts, s.String())
		}
		size := 514 + rng.IntN(60)
		tok, err := Train(slices.Values(texts), size, HuggingFace)
		if err != nil {
			t.Fatal(err)
		}
		if want := recount(texts, size); !slices.Equal(tok.table, want) {
			t.Fatalf("%q: merges\n%v, want\n%v", texts, tok.table, want)
		}
	}
}

func TestTrainedTokenizerIsSavedAndReproducible(t *testing.T) {
	texts := captions(300)
	for _, c := range []Cleaning{OpenAI, HuggingFace, ""} {
		t.Run(fmt.Sprintf("cleaning=%s", c), func(t *testing.T) {
			one, err := Train(slices.Values(texts), 600, c)
			if err != nil {
				t.Fatal(err)
			}
			backwards := slices.Clone(texts)
			slices.Reverse(backwards)
			other, err := Train(slices.Values(backwards), 600, c)
			if err != nil {
				t.Fatal(err)
			}
			here, there := t.TempDir(), t.TempDir()
			if err := one.Save(here); err != nil {
				t.Fatal(err)
			}
			if err := other.Save(there); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"vocab.json", "merges.txt", "tokenizer_config.json"} {
				a, errA := os.ReadFile(filepath.Join(here, name))
				b, errB := os.ReadFile(filepath.Join(there, name))
				if errA != nil || errB != nil || !bytes.Equal(a, b) {
					t.Errorf("%s differs with the order of texts (%v, %v)", name, errA, errB)
				}
			}
			loaded, err := Load(here)
			if err != nil {
				t.Fatal(err)
			}
			if loaded.Cleaning() != c || loaded.Size() != one.Size() || loaded.Padding() != one.Padding() {
				t.Errorf("loaded cleaning %q, size %d, padding %d, want %q, %d, %d",
					loaded.Cleaning(), loaded.Size(), loaded.Padding(), c, one.Size(), one.Padding())
			}
			for _, text := range append(texts, "&amp; unseen ŵords 🙂!") {
				if a, b := one.Encode(text), loaded.Encode(text); !slices.Equal(a, b) {
					t.Fatalf("%q has ids %v, loaded %v", text, a, b)
				}
			}
		})
	}
}
