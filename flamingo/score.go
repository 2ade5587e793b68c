package flamingo

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
)

// Words are what captions are compared by: in lower case, without punctuation.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// grams counts the runs of n words.
func grams(words []string, n int) map[string]float64 {
	counts := map[string]float64{}
	for i := range len(words) - n + 1 {
		counts[strings.Join(words[i:i+n], " ")]++
	}
	return counts
}

// BLEU is BLEU-4 of all captions together, one reference each, from 0 to 1
// (Papineni et al. 2002), not smoothed: 0 where no four words in a row are
// right, or where there are none.
func BLEU(captions, references []string) float64 {
	var right, total [4]float64
	length, wanted := 0, 0
	for i, caption := range captions {
		have, want := Words(caption), Words(references[i])
		length, wanted = length+len(have), wanted+len(want)
		for n := range right {
			known := grams(want, n+1)
			for g, count := range grams(have, n+1) {
				right[n] += min(count, known[g])
				total[n] += count
			}
		}
	}
	sum := 0.0
	for n := range right {
		if right[n] == 0 {
			return 0
		}
		sum += math.Log(right[n]/total[n]) / 4
	}
	if length < wanted {
		sum += 1 - float64(wanted)/float64(length)
	}
	return math.Exp(sum)
}

// CIDEr is the mean over captions, one reference each, of ten times the mean
// cosine of n-gram counts, n from 1 to 4, weighted by how few references have
// them (arXiv:1411.5726): from 0 to 10. Of an n-gram that all references share
// nothing counts, so that it takes several different ones.
func CIDEr(captions, references []string) float64 {
	if len(captions) == 0 {
		return 0
	}
	var documents [4]map[string]float64 // references that have an n-gram
	for n := range documents {
		documents[n] = map[string]float64{}
		for _, ref := range references {
			for g := range grams(Words(ref), n+1) {
				documents[n][g]++
			}
		}
	}
	sum := 0.0
	for i, caption := range captions {
		have, want := Words(caption), Words(references[i])
		for n := range documents {
			weigh := func(g string) float64 {
				return math.Log(float64(len(references)) / max(1, documents[n][g]))
			}
			sum += cosine(grams(have, n+1), grams(want, n+1), weigh) * 10 / 4
		}
	}
	return sum / float64(len(captions))
}

// cosine is that of two counts with weights; 0 if either has none.
func cosine(x, y map[string]float64, weigh func(string) float64) float64 {
	norm := func(counts map[string]float64) float64 {
		sum := 0.0
		for _, g := range sorted(counts) {
			v := counts[g] * weigh(g)
			sum += v * v
		}
		return math.Sqrt(sum)
	}
	dot := 0.0
	for _, g := range sorted(x) {
		w := weigh(g)
		dot += x[g] * y[g] * w * w
	}
	if n := norm(x) * norm(y); n > 0 {
		return dot / n
	}
	return 0
}

// sorted fixes the order of sums.
func sorted(counts map[string]float64) []string { return slices.Sorted(maps.Keys(counts)) }
