package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randoms returns n normal numbers.
func randoms[T Float](r *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(r.NormFloat64())
	}
	return x
}

// garbage returns what a recycled buffer may hold.
func garbage[T Float](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(math.NaN())
	}
	return x
}

// same fails unless got equals want, up to a tolerance relative to max(1, |want|).
func same[T Float](t *testing.T, what string, got []T, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(w) && math.IsNaN(g) || g == w {
			continue
		}
		if !(math.Abs(g-w) <= tol*max(1, math.Abs(w))) {
			t.Fatalf("%s[%d] = %v, want %v", what, i, g, w)
		}
	}
}

func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// unravel returns the coordinates of element i of an array.
func unravel(i int, shape []int) []int {
	at := make([]int, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		at[k] = i % shape[k]
		i /= shape[k]
	}
	return at
}

// ravel is the position of the element at coordinates aligned at the last
// axes, where axes of length 1 repeat.
func ravel(at, shape []int) int {
	at = at[len(at)-len(shape):]
	i := 0
	for k, n := range shape {
		i *= n
		if n != 1 {
			i += at[k]
		}
	}
	return i
}

func TestPermute(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, tt := range []struct{ shape, order []int }{
		{[]int{1}, []int{0}},
		{[]int{7}, []int{0}},
		{[]int{0, 3}, []int{1, 0}},
		{[]int{1, 5}, []int{1, 0}},
		{[]int{33, 65}, []int{1, 0}},
		{[]int{3, 40, 37}, []int{0, 2, 1}},
		{[]int{3, 5, 7}, []int{2, 1, 0}},
		{[]int{3, 5, 7}, []int{2, 0, 1}},
		{[]int{3, 5, 7}, []int{1, 0, 2}},
		{[]int{2, 3, 1, 5, 4}, []int{3, 0, 4, 2, 1}},
		{[]int{2, 3, 4, 5, 4, 5}, []int{0, 2, 4, 1, 3, 5}},
	} {
		x := randoms[float32](r, volume(tt.shape))
		got := garbage[float32](len(x))
		Permute(got, x, NewPermutation(tt.shape, tt.order))
		to := make([]int, len(tt.order))
		for i, a := range tt.order {
			to[i] = tt.shape[a]
		}
		for i := range got {
			at, from := unravel(i, to), make([]int, len(to))
			for k, a := range tt.order {
				from[a] = at[k]
			}
			if want := x[ravel(from, tt.shape)]; got[i] != want {
				t.Fatalf("%v by %v: element %d is %v, want %v", tt.shape, tt.order, i, got[i], want)
			}
		}
	}
}

func TestPadRowsUndoesCopyRows(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for _, tt := range []struct{ rows, n, lo, width int }{
		{0, 3, 1, 1}, {3, 0, 0, 0}, {1, 1, 0, 1}, {5, 7, 2, 3}, {5, 7, 0, 7}, {5, 7, 7, 0}, {300, 101, 100, 1},
	} {
		x := randoms[float64](r, tt.rows*tt.n)
		part := garbage[float64](tt.rows * tt.width)
		CopyRows(tt.rows, tt.width, part, tt.width, x[min(len(x), tt.lo):], tt.n)
		got := garbage[float64](len(x))
		PadRows(tt.rows, tt.n, tt.lo, tt.width, got, part)
		want := slices.Clone(x)
		for i := range want {
			if j := i % tt.n; j < tt.lo || j >= tt.lo+tt.width {
				want[i] = 0
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", tt, got, want)
		}
	}
}
