package kernel

import (
	"math"
	"slices"
	"testing"
)

func TestBiasActivate(t *testing.T) {
	x := []float64{1, -2, 3, -4, 5, math.NaN()}
	finish := func(x []float64, n int, f Finish[float64]) []float64 {
		y := slices.Clone(x)
		if n > 0 {
			f.block(y, 0, len(x)/n, 0, n, n)
		}
		return y
	}
	biased := finish(x, 3, Finish[float64]{Bias: []float64{1, 1, -5}})
	near(t, "x", biased, []float64{2, -1, -2, -3, 6, math.NaN()}, 0)
	near(t, "y", finish(x, 3, Finish[float64]{Bias: []float64{1, 1, -5}, Act: ReLU}), []float64{2, 0, 0, 0, 6, math.NaN()}, 0)
	twice := finish(biased, 2, Finish[float64]{Bias: []float64{1, 2}})
	near(t, "in place", twice, []float64{3, 1, -1, -1, 7, math.NaN()}, 0)
	near(t, "no bias", finish(twice, 2, Finish[float64]{Act: ReLU}), []float64{3, 1, 0, 0, 7, math.NaN()}, 0)
	finish(nil, 0, Finish[float64]{Bias: []float64{}, Act: GELU})
	finish(nil, 1, Finish[float64]{Bias: []float64{1}, Act: GELU})
}
