package score

import (
	"math"
	"testing"
)

func TestOf(t *testing.T) {
	query := []float32{0.6, 0.8}
	for _, tt := range []struct {
		name string
		side Side
		x    []float32
		want float64
	}{
		{"a cosine", Side{Query: query, Scale: 1}, []float32{1, 0}, 0.6},
		{"shifted and scaled", Side{Query: query, Shift: 0.1, Scale: 4}, []float32{0, 1}, 2.8},
		{"by the length without the mean", Side{Query: query, Shift: 0.3, Scale: 1, Mean: []float64{0.5, 0}}, []float32{1, 0}, 0.6},
		{"the mean itself", Side{Query: query, Scale: 1, Mean: []float64{1, 0}}, []float32{1, 0}, 0},
	} {
		if got := tt.side.Of(tt.x); math.Abs(got-tt.want) > 1e-7 {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestInverse(t *testing.T) {
	for deviation, want := range map[float64]float64{0.25: 4, 0: 0, Vanishing: 0} {
		if got := Inverse(deviation); got != want {
			t.Errorf("Inverse(%g) = %g, want %g", deviation, got, want)
		}
	}
}
