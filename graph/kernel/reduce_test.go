package kernel

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

func TestBytesDoNotDependOnCores(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 1))
	x, dy := randoms[float32](r, 120_000), randoms[float32](r, 120_000)
	w, ids := randoms[float32](r, 3000), make([]float32, 1200)
	for i := range ids {
		ids[i] = float32(r.IntN(30))
	}
	// Images (12, 10, 25, 40), filters (10, 10, 5, 6) and results of 25×39.
	k := NewConv(12, 10, 25, 40, 10, 5, 6, 1, 2)
	ones := []int{1}
	all, cols, rows := []int{len(x)}, []int{1200, 100}, []int{1200, 1}
	for _, tt := range []struct {
		name string
		n    int
		f    func(dst []float32)
	}{
		{"sum of all", 1, func(dst []float32) { Reduce(dst, x, 1, NewBroadcast(all, ones, all)) }},
		{"sum of columns", 100, func(dst []float32) { Reduce(dst, x, 1, NewBroadcast(cols, cols[1:], cols)) }},
		{"sum of rows", 1200, func(dst []float32) { Reduce(dst, x, 1, NewBroadcast(cols, rows, cols)) }},
		{"scatter", 3000, func(dst []float32) { ScatterAdd(dst, dy, ids, make([]float32, 1230), 30, 100) }},
		{"convolution", 12 * 10 * 25 * 39, func(dst []float32) { Convolve(dst, x, w, nil, make([]float32, k.Scratch()), k) }},
		{"gradient of images", 120_000, func(dst []float32) { ConvolveInput(dst, dy, w, nil, make([]float32, k.InputScratch()), k) }},
		{"gradient of filters", 3000, func(dst []float32) { ConvolveFilter(dst, x, dy, make([]float32, k.FilterScratch()), k) }},
		{"batch norm", 120_000, func(dst []float32) {
			stats, y := make([]float32, 30), make([]float32, len(x))
			norm := BatchNorms{B: 12, C: 10, S: 1000, Slope: 0.2}
			BatchNorm(y, x, w, w, stats, norm, true)
			BatchNormBackward(dst, make([]float32, 10), make([]float32, 10), x, w, stats, y, dy, norm, false)
		}},
		{"cross-entropy", 120_001, func(dst []float32) {
			stats := make([]float32, 4*1200)
			dst[120_000] = CrossEntropyIDs(stats, x, ids, nil, 1200, 100)
			CrossEntropyIDsBackward(dst[:120_000], stats, x, ids, 1, 1200, 100)
		}},
		{"nearest", 1200, func(dst []float32) { Nearest(dst, x, w, make([]float32, NearestScratch(1200, 30)), 1200, 30, 100) }},
	} {
		var first []float32
		for _, procs := range []int{1, 2, 7} {
			got := garbage[float32](tt.n)
			before := runtime.GOMAXPROCS(procs)
			tt.f(got)
			runtime.GOMAXPROCS(before)
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("%s differs between 1 and %d cores", tt.name, procs)
			}
		}
	}
}
