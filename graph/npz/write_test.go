package npz

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	long := make([]float32, 40001)
	for i := range long {
		long[i] = float32(i) / 3
	}
	arrays := []Array{
		{"b/kernel", []int{2, 1, 3}, []float32{0, 1, 2, 3, 4, 5}},
		{"a", []int{40001}, long},
		{"scalar", nil, []float32{-1}},
		{"empty", []int{3, 0}, nil},
	}
	path := filepath.Join(t.TempDir(), "m.npz")
	if err := Write(path, arrays); err != nil {
		t.Fatal(err)
	}
	f := reopen(t, path)
	if got, want := f.Names(), []string{"a", "b/kernel", "empty", "scalar"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for _, a := range arrays {
		if shape, ok := f.Shape(a.Name); !ok || !slices.Equal(shape, a.Shape) {
			t.Errorf("%s: shape %v, want %v", a.Name, shape, a.Shape)
		}
		if got, err := f.Float32(a.Name); err != nil || !slices.Equal(got, a.Data) {
			t.Errorf("%s: %d elements, %v, want %d", a.Name, len(got), err, len(a.Data))
		}
	}
	first, _ := os.ReadFile(path)
	if err := Write(path, arrays); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
		t.Error("equal arrays give different bytes")
	}
}

// The header fills up to 64 bytes and ends in a newline, whatever its length.
func TestAlignment(t *testing.T) {
	for rank := range 30 {
		shape := slices.Repeat([]int{1}, rank)
		var b bytes.Buffer
		if err := encodeArray(&b, Array{"w", shape, []float32{1}}); err != nil {
			t.Fatal(err)
		}
		if n := b.Len() - 4; n%64 != 0 || b.Bytes()[n-1] != '\n' {
			t.Errorf("rank %d: header of %d bytes ends in %q", rank, n, b.Bytes()[n-1])
		}
	}
}

func TestWriteFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		arrays []Array
		want   string
	}{
		{"too few elements", []Array{{"w", []int{2}, []float32{0}}}, `array "w": 1 elements for shape [2]`},
		{"negative shape", []Array{{"w", []int{-1}, nil}}, `array "w"`},
		{"overflowing shape", []Array{{"w", []int{math.MaxInt, 2}, nil}}, "overflows"},
		{"repeated name", []Array{{"w", nil, []float32{0}}, {"w", nil, []float32{0}}}, `repeated array "w"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "m.npz")
			wantError(t, Write(path, tt.arrays), "npz: write "+path, tt.want)
			if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}
