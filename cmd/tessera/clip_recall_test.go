package main

import (
	"math"
	"testing"
)

func TestRanks(t *testing.T) {
	nan := float32(math.NaN())
	for _, tt := range []struct {
		name            string
		images, texts   []float32
		own             [][]int
		toText, toImage recall
	}{
		{
			// Cosines: image 0: 0.8, 1; image 1: 0.96, 0.6; image 2: 0.28, 0.8.
			// Text 0 finds image 1, then 0; text 1 finds image 0, then 2.
			"a caption of two images", []float32{1, 0, 0.6, 0.8, 0.8, -0.6}, []float32{0.8, 0.6, 1, 0}, [][]int{{0}, {1}, {1}},
			recall{3, 1, 3, 3, 2}, recall{2, 0, 2, 2, 2},
		},
		{
			// The image's two captions are closest, and do not compete.
			"two captions of an image", []float32{1, 0, 0, 1}, []float32{1, 0, 0.8, 0.6, 0, 1}, [][]int{{0, 1}, {2}},
			recall{2, 2, 2, 2, 1}, recall{3, 3, 3, 3, 1},
		},
		{"all alike", []float32{1, 0, 1, 0, 1, 0}, []float32{1, 0, 1, 0, 1, 0}, [][]int{{0}, {1}, {2}}, recall{3, 0, 3, 3, 3}, recall{3, 0, 3, 3, 3}},
		{"not numbers", []float32{nan, 0, nan, 0}, []float32{1, 0, 1, 0}, [][]int{{0}, {1}}, recall{2, 0, 2, 2, 2}, recall{2, 0, 2, 2, 2}},
	} {
		toText, toImage := ranks(tt.images, tt.texts, tt.own, 2)
		if toText != tt.toText || toImage != tt.toImage {
			t.Errorf("%s: texts by images %+v, images by texts %+v; want %+v and %+v", tt.name, toText, toImage, tt.toText, tt.toImage)
		}
	}
	r := recall{Queries: 2000, At1: 1000, At5: 1500, At10: 2000, Median: 2}
	if got, want := r.String(), "R@1 50.0 % (1,000), R@5 75.0 % (1,500), R@10 100.0 % (2,000) of 2,000, median rank 2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRanksInChunks compares more images than go at once with single ones.
func TestRanksInChunks(t *testing.T) {
	const n = 700
	images, own := make([]float32, 2*n), make([][]int, n)
	for i := range n {
		s, c := math.Sincos(float64(i) * 2 * math.Pi / n)
		images[2*i], images[2*i+1], own[i] = float32(c), float32(s), []int{(i + i%3) % n}
	}
	// Text j is image j: a caption is as far off as i%3 says, with texts on both sides.
	toText, _ := ranks(images, images, own, 2)
	want := recall{n, 234, 700, 700, 0}
	want.Median = toText.Median
	if toText != want || toText.Median < 2 || toText.Median > 3 {
		t.Errorf("%+v, want %+v", toText, want)
	}
}
