package vit

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

func TestInterpolatePositionsAgainstPyTorch(t *testing.T) {
	text, err := os.ReadFile("../testdata/vit/interpolate.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		From, To, Width int
		Table, Want     []float32
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		got := interpolatePositions(c.Table, c.Width, c.From, c.To)
		if len(got) != len(c.Want) {
			t.Fatalf("%d to %d: %d values, want %d", c.From, c.To, len(got), len(c.Want))
		}
		for i := range got {
			if math.Abs(float64(got[i]-c.Want[i])) > 2e-6 {
				t.Fatalf("%d to %d: value %d is %g, want %g", c.From, c.To, i, got[i], c.Want[i])
			}
		}
	}
}

func TestInterpolatePositionsProperties(t *testing.T) {
	fill := func(n int, f func(y, x int) float32) []float32 {
		table := []float32{9, -9} // class token
		for y := range n {
			for x := range n {
				table = append(table, f(y, x), 1.5)
			}
		}
		return table
	}
	ramp := func(y, x int) float32 { return float32(3*y - 2*x) }

	table := fill(5, ramp)
	if got := interpolatePositions(table, 2, 5, 5); !slices.Equal(got, table) {
		t.Errorf("to its own size: %v, want %v", got, table)
	}
	const n, m = 8, 16
	got := interpolatePositions(fill(n, ramp), 2, n, m)
	if len(got) != 2*(1+m*m) || got[0] != 9 || got[1] != -9 {
		t.Fatalf("%d values with class token %v", len(got), got[:2])
	}
	at := func(i int) float64 { return (float64(i)+0.5)*n/m - 0.5 }
	for y := range m {
		for x := range m {
			v := got[2*(1+y*m+x):][:2]
			if math.Abs(float64(v[1])-1.5) > 1e-6 {
				t.Errorf("a constant becomes %g at %d, %d", v[1], y, x)
			}
			// Keys' kernel repeats a line only for a = -0.5; at a = -0.75 it
			// errs by the same amount to either side, so pairs average out.
			if y%2 == 1 && x%2 == 1 && y > 2 && x > 2 && y+1 < m-3 && x+1 < m-3 {
				pair := got[2*(1+(y+1)*m+x+1)]
				want := 3*(at(y)+at(y+1))/2 - 2*(at(x)+at(x+1))/2
				if math.Abs(float64(v[0]+pair)/2-want) > 1e-5 {
					t.Errorf("a ramp becomes %g between %d, %d and the next, want %g", (v[0]+pair)/2, y, x, want)
				}
			}
		}
	}
}
