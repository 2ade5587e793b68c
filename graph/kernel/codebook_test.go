package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// follow runs Follow on fresh memory.
func follow(x, ids, counts, sums []float32, k, d int, u CodebookUpdate, key Key) (codes, newCounts, newSums []float32) {
	codes, newCounts, newSums = garbage[float32](k*d), garbage[float32](k), garbage[float32](k*d)
	Follow(codes, newCounts, newSums, x, ids, counts, sums, garbage[float32](k+len(ids)), len(ids), k, d, u, key)
	return codes, newCounts, newSums
}

func TestFollow(t *testing.T) {
	// Two codes in the plane; the first gets two vectors, the second one.
	x := []float32{1, 2, 3, 4, 10, 20}
	u := CodebookUpdate{Decay: 0.75, Eps: 1e-5}
	codes, counts, sums := follow(x, []float32{0, 0, 1}, []float32{4, 2}, []float32{4, 8, 6, 2}, 2, 2, u, 1)
	same(t, "counts", counts, []float64{0.75*4 + 0.25*2, 0.75*2 + 0.25*1}, 1e-6)
	same(t, "sums", sums, []float64{0.75*4 + 0.25*4, 0.75*8 + 0.25*6, 0.75*6 + 0.25*10, 0.75*2 + 0.25*20}, 1e-6)
	smooth := func(n float64) float64 { return (n + 1e-5) / (3.5 + 1.75 + 2e-5) * (3.5 + 1.75) }
	same(t, "codes", codes, []float64{4 / smooth(3.5), 7.5 / smooth(3.5), 7 / smooth(1.75), 6.5 / smooth(1.75)}, 1e-6)
}

// TestFollowStarts: a codebook without a past takes vectors of the batch, and so
// does a code that nothing was assigned to for long, and no other.
func TestFollowStarts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const n, k, d = 50, 8, 3
	x, ids := randoms[float32](r, n*d), make([]float32, n)
	inBatch := func(code []float32) bool {
		for i := range n {
			if slices.Equal(x[i*d:(i+1)*d], code) {
				return true
			}
		}
		return false
	}
	u := CodebookUpdate{Decay: 0.99, Eps: 1e-5, Dead: 0.02}
	codes, counts, sums := follow(x, ids, make([]float32, k), make([]float32, k*d), k, d, u, 7)
	for i := range k {
		if !inBatch(codes[i*d : (i+1)*d]) {
			t.Errorf("code %d at the start, %v, is no vector of the batch", i, codes[i*d:(i+1)*d])
		}
	}
	again, _, _ := follow(x, ids, make([]float32, k), make([]float32, k*d), k, d, u, 7)
	if !slices.Equal(codes, again) {
		t.Error("equal keys give different codes")
	}
	if other, _, _ := follow(x, ids, make([]float32, k), make([]float32, k*d), k, d, u, 8); slices.Equal(codes, other) {
		t.Error("different keys give equal codes")
	}
	// Code 5 has hardly been used, and the batch uses only code 0.
	for i := range counts {
		counts[i] = 6
	}
	counts[5] = 0.02 * 6 // the mean is 50/8
	next, newCounts, _ := follow(x, ids, counts, sums, k, d, u, 7)
	for i := range k {
		if got := inBatch(next[i*d : (i+1)*d]); got != (i == 5) {
			t.Errorf("code %d was replaced: %t", i, got)
		}
	}
	if newCounts[5] < 0.5 {
		t.Errorf("the new code starts with the count %g, and would be replaced at once", newCounts[5])
	}
	// A batch without vectors forgets, and replaces nothing.
	if _, c, _ := follow(nil, nil, counts, sums, k, d, u, 7); c[5] != float32(0.99*float64(counts[5])) {
		t.Errorf("count %g after an empty batch", c[5])
	}
}

func TestPerplexity(t *testing.T) {
	for _, tt := range []struct {
		ids  []float32
		want float64
	}{{nil, 0}, {[]float32{2, 2}, 1}, {[]float32{0, 1, 2, 3}, 4}, {[]float32{0, 0, 0, 1}, math.Exp(0.75*math.Log(4./3) + 0.25*math.Log(4))}} {
		if got := Perplexity(tt.ids, garbage[float32](4), 4); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("perplexity of %v is %v, want %v", tt.ids, got, tt.want)
		}
	}
}

// TestAddGumbel: the greatest of noisy logarithms is a draw by the probabilities.
func TestAddGumbel(t *testing.T) {
	p := []float64{0.1, 0.2, 0.7}
	const n = 20_000
	x := make([]float32, n*3)
	for i := range x {
		x[i] = float32(math.Log(p[i%3]))
	}
	y := garbage[float32](len(x))
	AddGumbel(y, x, NewKey(3))
	var seen [3]float64
	for i := range n {
		seen[argmax(y[i*3:(i+1)*3])]++
	}
	for i := range p {
		if got := seen[i] / n; math.Abs(got-p[i]) > 4*math.Sqrt(p[i]*(1-p[i])/n) {
			t.Errorf("%d was drawn with probability %v, want %v", i, got, p[i])
		}
	}
}

func TestRound(t *testing.T) {
	y := garbage[float64](5)
	Round(y, []float64{-1.5, -0.4, 0.5, 1.5, 2.6})
	same(t, "rounded", y, []float64{-2, 0, 0, 2, 3}, 0)
}
