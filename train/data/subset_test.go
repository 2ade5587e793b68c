package data

import (
	"math"
	"slices"
	"testing"
)

// pixels lists the values of a numbered data set's images.
func pixels(t *testing.T, ds Dataset) []int {
	t.Helper()
	all := []int{}
	for i := range ds.Len() {
		ex, err := ds.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, int(ex.Image.Pix[0]))
	}
	return all
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		n        int
		fraction float64
		val      int
	}{
		{20, 0.1, 2}, {20, 0, 0}, {20, 1, 20}, {7, 0.5, 4}, {0, 0.5, 0},
	} {
		train, val, err := Split(numbered{n: tt.n}, tt.fraction, 3)
		if err != nil {
			t.Fatal(err)
		}
		a, b := pixels(t, train), pixels(t, val)
		if len(b) != tt.val {
			t.Errorf("%d examples at %g: %d for validation, want %d", tt.n, tt.fraction, len(b), tt.val)
		}
		if !slices.IsSorted(a) || !slices.IsSorted(b) {
			t.Errorf("parts %v and %v are out of order", a, b)
		}
		all := append(a, b...)
		slices.Sort(all)
		if !slices.Equal(all, pixels(t, numbered{n: tt.n})) {
			t.Errorf("the parts make up %v", all)
		}
	}
	part := func(seed uint64) []int {
		_, val, err := Split(numbered{n: 100}, 0.2, seed)
		if err != nil {
			t.Fatal(err)
		}
		return pixels(t, val)
	}
	if !slices.Equal(part(1), part(1)) || slices.Equal(part(1), part(2)) {
		t.Error("the seed does not decide on the parts")
	}
	for _, f := range []float64{-0.1, 1.1, math.NaN()} {
		if _, _, err := Split(numbered{n: 3}, f, 1); err == nil {
			t.Errorf("a fraction of %g is accepted", f)
		}
	}
}

func TestTake(t *testing.T) {
	for _, tt := range []struct {
		n, take int
		want    []int
	}{
		{10, 5, []int{0, 2, 4, 6, 8}},
		{10, 3, []int{0, 3, 6}},
		{3, 3, []int{0, 1, 2}},
		{3, 9, []int{0, 1, 2}},
		{3, 0, []int{}},
		{3, -1, []int{}},
		{0, 2, []int{}},
	} {
		ds := Take(numbered{n: tt.n}, tt.take)
		if got := pixels(t, ds); !slices.Equal(got, tt.want) {
			t.Errorf("%d of %d: %v, want %v", tt.take, tt.n, got, tt.want)
		}
		if len(ds.Classes()) != 2 {
			t.Error("the classes are lost")
		}
	}
}
