package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestGather(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	for _, tt := range []struct{ v, d, n int }{{1, 1, 1}, {5, 3, 0}, {7, 0, 4}, {7, 5, 40}, {3, 130, 1000}, {2000, 65, 50}} {
		table, dy, ids := randoms[float32](r, tt.v*tt.d), randoms[float32](r, tt.n*tt.d), make([]float32, tt.n)
		rows, sums := make([]float64, tt.n*tt.d), make([]float64, tt.v*tt.d)
		for i := range ids {
			id := r.IntN(tt.v)
			ids[i] = float32(id)
			for j := range tt.d {
				rows[i*tt.d+j] = float64(table[id*tt.d+j])
				sums[id*tt.d+j] += float64(dy[i*tt.d+j])
			}
		}
		got := garbage[float32](tt.n * tt.d)
		Gather(got, table, ids, tt.v, tt.d)
		same(t, fmt.Sprint("gather ", tt), got, rows, 0)
		got = garbage[float32](tt.v * tt.d)
		ScatterAdd(got, dy, ids, garbage[float32](tt.v+tt.n), tt.v, tt.d)
		same(t, fmt.Sprint("scatter ", tt), got, sums, 1e-7)
	}
}

func TestAt(t *testing.T) {
	x := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11} // (2, 3, 2)
	ids := []float64{2, 0}
	got := garbage[float64](4)
	At(got, x, ids, 3, 2)
	same(t, "at", got, []float64{4, 5, 6, 7}, 0)
	dx := garbage[float64](12)
	AtBackward(dx, []float64{1, 2, 3, 4}, ids, 3, 2)
	same(t, "at backward", dx, []float64{0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0}, 0)
}

func TestIDsOutsideTheirRange(t *testing.T) {
	for _, tt := range []struct {
		id   float32
		want string
	}{
		{5, "id 5 is not a whole number in [0, 5)"},
		{-1, "id -1 is not a whole number in [0, 5)"},
		{1.5, "id 1.5 is not a whole number in [0, 5)"},
		{float32(math.NaN()), "id NaN is not a whole number in [0, 5)"},
		{float32(math.Inf(1)), "id +Inf is not a whole number in [0, 5)"},
	} {
		for name, f := range map[string]func(){
			"gather": func() { Gather(make([]float32, 4), make([]float32, 10), []float32{1, tt.id}, 5, 2) },
			"at":     func() { At(make([]float32, 4), make([]float32, 20), []float32{1, tt.id}, 5, 2) },
		} {
			if got := panicOf(f); !strings.Contains(got, tt.want) {
				t.Errorf("%s panics with %q, want %q", name, got, tt.want)
			}
		}
	}
}

// panicOf returns what f panics with, as text.
func panicOf(f func()) (s string) {
	defer func() {
		if r := recover(); r != nil {
			s = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}
