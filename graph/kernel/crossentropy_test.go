package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// logSoftmax is computed the plain way, after subtracting the greatest value.
func logSoftmax(x []float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, v)
	}
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v - top - math.Log(sum)
	}
	return y
}

func TestCrossEntropy(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 1))
	for _, tt := range []struct{ n, c int }{{0, 3}, {1, 1}, {5, 3}, {700, 7}, {3, 5000}} {
		x, target := randoms[float32](r, tt.n*tt.c), randoms[float32](r, tt.n*tt.c)
		for i := range target {
			target[i] = max(0, target[i])
			if i/tt.c%5 == 3 {
				target[i] = 0
			}
		}
		var loss, counted float64
		dx, dt := make([]float64, len(x)), make([]float64, len(x))
		for i := range tt.n {
			row, sum := make([]float64, tt.c), 0.0
			for j := range row {
				row[j] = float64(x[i*tt.c+j])
				sum += float64(target[i*tt.c+j])
			}
			if sum == 0 {
				continue
			}
			counted++
			for j, v := range logSoftmax(row) {
				loss -= float64(target[i*tt.c+j]) * v
				dx[i*tt.c+j] = sum*math.Exp(v) - float64(target[i*tt.c+j])
				dt[i*tt.c+j] = -v
			}
		}
		for i := range dx {
			dx[i] *= 2 / max(1, counted)
			dt[i] *= 2 / max(1, counted)
		}
		stats := garbage[float32](4 * tt.n)
		got := CrossEntropy(stats, x, target, tt.n, tt.c)
		same(t, fmt.Sprint(tt, " loss"), []float32{got}, []float64{loss / max(1, counted)}, 1e-6)
		back := garbage[float32](len(x))
		CrossEntropyBackward(back, stats, x, target, 2, tt.n, tt.c)
		same(t, fmt.Sprint(tt, " gradient"), back, dx, 1e-6)
		back = garbage[float32](len(x))
		CrossEntropyTarget(back, stats, x, 2, tt.n, tt.c)
		same(t, fmt.Sprint(tt, " gradient of targets"), back, dt, 1e-6)
	}
}

func TestCrossEntropyAtTheExtremes(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		name         string
		x, target    []float64
		loss         float64
		dx           []float64
		ids, weights []float64 // the same targets as numbers, unless nil
	}{
		{"logits of 10⁴", []float64{1e4, -1e4}, []float64{0, 1}, 2e4, []float64{1, -1}, []float64{1}, nil},
		{"excluded class", []float64{0, -inf, 0}, []float64{1, 0, 0}, math.Ln2, []float64{-.5, 0, .5}, []float64{0}, nil},
		{"excluded target", []float64{0, -inf}, []float64{0, 1}, inf, []float64{1, -1}, []float64{1}, nil},
		{"NaN", []float64{0, nan}, []float64{1, 0}, nan, []float64{nan, nan}, []float64{0}, nil},
		{"NaN in an ignored row", []float64{nan, nan, 0, 0}, []float64{0, 0, 1, 0}, math.Ln2, []float64{0, 0, -.5, .5}, []float64{-100, 0}, nil},
		{"all ignored", []float64{1, 2}, []float64{0, 0}, 0, []float64{0, 0}, []float64{-1}, nil},
		{"weight 0 ignores", []float64{1, 2}, []float64{0, 0}, 0, []float64{0, 0}, []float64{1}, []float64{0}},
		{"certain", []float64{0}, []float64{1}, 0, []float64{0}, []float64{0}, nil},
		{"infinite logit", []float64{inf, 0}, []float64{0, 1}, nan, []float64{nan, nan}, []float64{1}, nil},
	} {
		c := len(tt.x)
		if len(tt.ids) == 2 {
			c /= 2
		}
		n := len(tt.x) / c
		stats, dx := garbage[float64](4*n), garbage[float64](len(tt.x))
		same(t, tt.name, []float64{CrossEntropy(stats, tt.x, tt.target, n, c)}, []float64{tt.loss}, 1e-12)
		CrossEntropyBackward(dx, stats, tt.x, tt.target, 1, n, c)
		same(t, tt.name+": gradient", dx, tt.dx, 1e-12)
		same(t, tt.name+": ids", []float64{CrossEntropyIDs(stats, tt.x, tt.ids, tt.weights, n, c)}, []float64{tt.loss}, 1e-12)
		CrossEntropyIDsBackward(dx, stats, tt.x, tt.ids, 1, n, c)
		same(t, tt.name+": ids' gradient", dx, tt.dx, 1e-12)
	}
}

func TestCrossEntropyIDs(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	for _, tt := range []struct {
		n, v     int
		weighted bool
	}{{0, 3, false}, {1, 1, true}, {6, 5, false}, {900, 11, true}} {
		x, ids := randoms[float32](r, tt.n*tt.v), make([]float32, tt.n)
		var weights []float32
		if tt.weighted {
			weights = make([]float32, tt.n)
		}
		var loss, total float64
		dx := make([]float64, len(x))
		for i := range ids {
			ids[i] = float32(r.IntN(tt.v+1) - tt.n%2)
			if int(ids[i]) >= tt.v {
				ids[i] = -100
			}
			w := 1.0
			if tt.weighted {
				weights[i] = float32(1 + i%3)
				w = float64(weights[i])
			}
			if ids[i] < 0 {
				continue
			}
			row := make([]float64, tt.v)
			for j := range row {
				row[j] = float64(x[i*tt.v+j])
			}
			for j, v := range logSoftmax(row) {
				dx[i*tt.v+j] = w * math.Exp(v)
				if j == int(ids[i]) {
					dx[i*tt.v+j] -= w
					loss -= w * v
				}
			}
			total += w
		}
		for i := range dx {
			dx[i] *= 2 / max(1, total)
		}
		stats, got := garbage[float32](4*tt.n), garbage[float32](len(x))
		mean := CrossEntropyIDs(stats, x, ids, weights, tt.n, tt.v)
		same(t, fmt.Sprint(tt, " loss"), []float32{mean}, []float64{loss / max(1, total)}, 1e-6)
		CrossEntropyIDsBackward(got, stats, x, ids, 2, tt.n, tt.v)
		same(t, fmt.Sprint(tt, " gradient"), got, dx, 1e-6)
	}
	for _, id := range []float64{3, 0.5, -0.5, math.NaN()} {
		got := panicOf(func() { CrossEntropyIDs(make([]float64, 4), make([]float64, 3), []float64{id}, nil, 1, 3) })
		if want := fmt.Sprintf("id %v is not a whole number", id); !strings.HasPrefix(got, want) {
			t.Errorf("id %v panics with %q, want %q", id, got, want)
		}
	}
}

func TestAccuracy(t *testing.T) {
	logits := []float32{1, 2, 2, 1, 0, 1, 5, 4}
	for _, tt := range []struct {
		name   string
		target []float32
		want   float64
	}{
		{"half", []float32{0, 1, .4, .6, .3, .7, 0, 1}, 0.5},
		{"zero rows do not count", []float32{0, 1, 0, 0, 0, 0, 0, 0}, 1},
		{"nothing counts", make([]float32, 8), 0},
	} {
		same(t, tt.name, []float32{Accuracy(logits, tt.target, 4, 2)}, []float64{tt.want}, 0)
	}
}
