package fuse

import (
	"math"
	"testing"

	"tessera/clip/search"
)

func TestCentre(t *testing.T) {
	means := map[search.Modality][]float64{search.Images: {0, 1}, search.Texts: nil}
	image := search.Term{Vector: []float32{1, 0}, Kind: search.Images, Weight: 1}
	text := search.Term{Vector: []float32{0, 1}, Kind: search.Texts, Weight: 2}
	half := float32(math.Sqrt(0.5))
	for _, tt := range []struct {
		name  string
		terms []search.Term
		want  [2]float32
	}{
		{"the mean of its kind is taken away", []search.Term{image}, [2]float32{half, -half}},
		{"a kind without a mean stays", []search.Term{text}, [2]float32{0, 1}},
		{"terms add up by weight", []search.Term{image, text}, [2]float32{half, half}},
		{"nothing is left", []search.Term{{Vector: []float32{0, 1}, Kind: search.Images, Weight: 1}}, [2]float32{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Centre(search.Query{Terms: tt.terms}, means)
			for i, w := range tt.want {
				if math.Abs(float64(got[i]-w)) > 1e-6 {
					t.Fatalf("%v, want %v", got, tt.want)
				}
			}
		})
	}
	if image.Vector[1] != 0 {
		t.Error("the query's own vector has changed")
	}
}
