package search

import (
	"math"
	"testing"
)

func TestQueryCentred(t *testing.T) {
	means := map[Modality][]float64{Images: {0, 1}, Texts: nil}
	image := Term{Vector: []float32{1, 0}, Kind: Images, Weight: 1}
	text := Term{Vector: []float32{0, 1}, Kind: Texts, Weight: 2}
	half := float32(math.Sqrt(0.5))
	for _, tt := range []struct {
		name  string
		terms []Term
		want  [2]float32
	}{
		{"the mean of its kind is taken away", []Term{image}, [2]float32{half, -half}},
		{"a kind without a mean stays", []Term{text}, [2]float32{0, 1}},
		{"terms add up by weight", []Term{image, text}, [2]float32{half, half}},
		{"nothing is left", []Term{{Vector: []float32{0, 1}, Kind: Images, Weight: 1}}, [2]float32{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Query{Terms: tt.terms}.Centred(means)
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
