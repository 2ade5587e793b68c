package npz

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestInts(t *testing.T) {
	for _, tt := range []struct {
		shape []int
		data  []int32
	}{{[]int{2, 1, 3}, []int32{0, -1, 2, 3, 1 << 24, 5}}, {[]int{0, 4}, nil}, {nil, []int32{7}}} {
		path := filepath.Join(t.TempDir(), "a.npy")
		if err := WriteInts(path, tt.shape, tt.data); err != nil {
			t.Fatal(err)
		}
		shape, values, err := ReadArray(path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(shape, tt.shape) || len(values) != len(tt.data) {
			t.Errorf("shape %v with %d elements, want %v", shape, len(values), tt.shape)
		}
		for i, v := range values {
			if int32(v) != tt.data[i] {
				t.Errorf("element %d is %v, want %d", i, v, tt.data[i])
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{text[:len(text)-1], append(slices.Clone(text), 0), text[:9]} {
			if _, _, err := parseArray(bad); err == nil {
				t.Errorf("no error for %d of %d bytes", len(bad), len(text))
			}
		}
	}
	if err := WriteInts(filepath.Join(t.TempDir(), "a.npy"), []int{2}, []int32{1}); err == nil {
		t.Error("no error for one element of two")
	}
}

func FuzzArray(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.npy")
	if err := WriteInts(path, []int{2, 2}, []int32{1, 2, 3, 4}); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		shape, values, err := parseArray(text)
		if err != nil {
			return
		}
		n := 1
		for _, s := range shape {
			n *= s
		}
		if n != len(values) || len(values) > len(text) {
			t.Errorf("shape %v, %d values from %d bytes", shape, len(values), len(text))
		}
	})
}
