package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestArgmax(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		name             string
		row              []float64
		greatest, lowest float64
	}{
		{"one element", []float64{3}, 0, 0},
		{"first of equal ones", []float64{1, 2, 2, 1}, 1, 0},
		{"infinities", []float64{0, -inf, inf}, 2, 1},
		{"all lowest", []float64{-inf, -inf}, 0, 0},
		{"NaN is both", []float64{0, nan, inf, nan}, 1, 1},
	} {
		got := garbage[float64](1)
		Argmax(got, tt.row, len(tt.row))
		same(t, tt.name+": argmax", got, []float64{tt.greatest}, 0)
		Argmin(got, tt.row, len(tt.row))
		same(t, tt.name+": argmin", got, []float64{tt.lowest}, 0)
	}
	Argmax[float32](nil, nil, 3)
}

func TestNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	for _, tt := range []struct{ n, k, d int }{{0, 3, 2}, {1, 1, 1}, {3, 5, 0}, {300, 17, 5}, {700, 300, 9}, {9, 9000, 3}} {
		x, codes := randoms[float64](r, tt.n*tt.d), randoms[float64](r, tt.k*tt.d)
		got, want := garbage[float64](tt.n), make([]float64, tt.n)
		Nearest(got, x, codes, garbage[float64](NearestScratch(tt.n, tt.k)), tt.n, tt.k, tt.d)
		for i := range want {
			least := math.Inf(1)
			for c := range tt.k {
				var sum float64
				for j := range tt.d {
					diff := x[i*tt.d+j] - codes[c*tt.d+j]
					sum += diff * diff
				}
				if sum < least {
					least, want[i] = sum, float64(c)
				}
			}
		}
		same(t, fmt.Sprint("nearest ", tt), got, want, 0)
	}
}
