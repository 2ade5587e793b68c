package kernel

import (
	"math"
	"testing"
)

func TestBiasActivate(t *testing.T) {
	x := []float64{1, -2, 3, -4, 5, math.NaN()}
	y := make([]float64, 6)
	BiasActivate(y, x, []float64{1, 1, -5}, 3, ReLU)
	near(t, "x", x, []float64{2, -1, -2, -3, 6, math.NaN()}, 0)
	near(t, "y", y, []float64{2, 0, 0, 0, 6, math.NaN()}, 0)
	BiasActivate(x, x, []float64{1, 2}, 2, Identity)
	near(t, "in place", x, []float64{3, 1, -1, -1, 7, math.NaN()}, 0)
	BiasActivate(y, x, nil, 2, ReLU)
	near(t, "no bias", y, []float64{3, 1, 0, 0, 7, math.NaN()}, 0)
	BiasActivate(nil, nil, []float64{}, 0, GELU)
	BiasActivate(nil, nil, []float64{1}, 1, GELU)
}
