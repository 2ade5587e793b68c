package kernel

import (
	"math"
	"math/bits"
	"runtime"
	"slices"
	"testing"
)

func TestKeyIsUniform(t *testing.T) {
	const n, bins = 1 << 16, 64
	for _, k := range []Key{NewKey(), NewKey(0), NewKey(0, 0, 0), NewKey(0, 1, 0), NewKey(1, 2, 3)} {
		var low, high [bins]float64
		for i := range n {
			b := k.Bits(i)
			low[b%bins]++
			high[b>>58]++
		}
		for _, count := range [][bins]float64{low, high} {
			var chi float64
			for _, c := range count {
				chi += (c - n/bins) * (c - n/bins) / (n / bins)
			}
			// Of 63 degrees of freedom: mean 63, standard deviation 11.
			if chi < 20 || chi > 130 {
				t.Errorf("key %x: χ² of the bins is %.0f", k, chi)
			}
		}
	}
}

// TestKeyDiffers counts equal bits between sequences whose words are close.
func TestKeyDiffers(t *testing.T) {
	keys := []Key{NewKey(0, 0, 0), NewKey(0, 0, 1), NewKey(0, 1, 0), NewKey(1, 0, 0), NewKey(0, 1, 1), NewKey(1, 0, 1), NewKey(0, 0, 1<<32), NewKey(0, 2, 0)}
	for i, a := range keys {
		for _, b := range keys[:i] {
			const n = 1024
			equal := 0
			for j := range n {
				equal += 64 - bits.OnesCount64(a.Bits(j)^b.Bits(j))
			}
			// 64 n / 2 ± 5 standard deviations of √(64 n) / 2
			if math.Abs(float64(equal)-32*n) > 5*math.Sqrt(64*n)/2 {
				t.Errorf("keys %x and %x: %d of %d bits are equal", a, b, equal, 64*n)
			}
		}
	}
}

func TestDropout(t *testing.T) {
	const n = 100_003
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(i + 1)
	}
	for _, p := range []float64{0.1, 0.5, 0.9} {
		y := make([]float64, n)
		Dropout(y, x, p, NewKey(1, 2, 3))
		dropped := 0
		for i, v := range y {
			switch {
			case v == 0:
				dropped++
			case v != x[i]*(1/(1-p)):
				t.Fatalf("p = %v: element %v became %v", p, x[i], v)
			}
		}
		if d := math.Abs(float64(dropped)/n - p); d > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("p = %v: a share of %v was dropped", p, float64(dropped)/n)
		}
		again := make([]float64, n)
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		Dropout(again, x, p, NewKey(1, 2, 3))
		if !slices.Equal(y, again) {
			t.Errorf("p = %v: a second run differs", p)
		}
	}
	Dropout(nil, []float64{}, 0.5, NewKey(1))
}

func TestDropPath(t *testing.T) {
	const batch, n, p = 4000, 3, 0.25
	x := make([]float32, batch*n)
	for i := range x {
		x[i] = 3
	}
	y := make([]float32, len(x))
	DropPath(y, x, n, p, NewKey(9))
	dropped := 0
	for e := range batch {
		row := y[e*n : (e+1)*n]
		switch {
		case row[0] == 0 && row[1] == 0 && row[2] == 0:
			dropped++
		case row[0] != 4 || row[1] != 4 || row[2] != 4:
			t.Fatalf("example %d became %v", e, row)
		}
	}
	if d := math.Abs(float64(dropped)/batch - p); d > 5*math.Sqrt(p*(1-p)/batch) {
		t.Errorf("a share of %v was dropped, want %v", float64(dropped)/batch, p)
	}
	DropPath(nil, []float32{}, 0, p, NewKey(9))
}
