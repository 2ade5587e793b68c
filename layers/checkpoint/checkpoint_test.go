package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// memory is a store of the given tensors.
func memory(shapes map[string][]int, values map[string][]float32) *Store {
	return &Store{
		Path: "file", Shapes: shapes, Close: func() error { return nil },
		Read: func(name string) ([]float32, error) { return values[name], nil },
	}
}

func TestPlacesRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name   string
		place  Place
		params [][]float32
		stored []float32
		shape  []int
	}{
		{"as it is", Place{Name: "x", Params: []string{"a"}, Shape: []int{2}}, [][]float32{{1, 2}}, []float32{1, 2}, []int{2}},
		{"a scalar", Place{Name: "x", Params: []string{"a"}}, [][]float32{{3}}, []float32{3}, nil},
		{"stacked", Place{Name: "x", Params: []string{"a", "b", "c"}, Shape: []int{1, 2}},
			[][]float32{{1, 2}, {3, 4}, {5, 6}}, []float32{1, 2, 3, 4, 5, 6}, []int{3, 2}},
		{"transposed", Place{Name: "x", Params: []string{"a"}, Shape: []int{2, 3}, Axes: []int{1, 0}},
			[][]float32{{1, 2, 3, 4, 5, 6}}, []float32{1, 4, 2, 5, 3, 6}, []int{3, 2}},
		{"heads apart", Place{Name: "x", Params: []string{"a"}, Shape: []int{4, 1}, Split: []int{2, 2, 1}, Axes: []int{1, 0, 2}},
			[][]float32{{1, 2, 3, 4}}, []float32{1, 3, 2, 4}, []int{2, 2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := memory(map[string][]int{"x": tt.shape}, map[string][]float32{"x": tt.stored}).Unpack([]Place{tt.place})
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range tt.place.Params {
				got, err := entries[name].Read()
				if err != nil || !slices.Equal(got, tt.params[i]) {
					t.Errorf("%s = %v, %v, want %v", name, got, err, tt.params[i])
				}
			}
			packed, err := Pack(graph.NewTensors("file", entries), []Place{tt.place})
			if err != nil {
				t.Fatal(err)
			}
			if got := packed[0]; !slices.Equal(got.Shape, tt.shape) || !slices.Equal(got.Data.([]float32), tt.stored) {
				t.Errorf("packed %v of shape %v, want %v of %v", got.Data, got.Shape, tt.stored, tt.shape)
			}
		})
	}
}

func TestUnpack(t *testing.T) {
	s := memory(map[string][]int{"one": {1}, "other": {5}}, nil)
	entries, err := s.Unpack([]Place{{Name: "one", Params: []string{"scale"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := entries["scale"]; !ok || len(entries) != 2 || !slices.Equal(entries["other"].Shape, []int{5}) {
		t.Errorf("entries %v, want scale, and other as it is", entries)
	}
	_, err = s.Unpack([]Place{
		{Name: "gone", Params: []string{"a"}, Shape: []int{2}},
		{Name: "gone too", Params: []string{"b"}},
		{Name: "other", Params: []string{"c"}, Shape: []int{4}},
	})
	want := "file: no tensor \"gone\", want one of shape (2)\n\tno tensor \"gone too\", want one of shape ()\n\ttensor \"other\" has shape (5), want (4)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestOwn(t *testing.T) {
	own := Own([]Place{{Name: "x", Params: []string{"a", "b"}, Shape: []int{2, 3}, Axes: []int{1, 0}}})
	if len(own) != 2 || own[1].Name != "b" || !slices.Equal(own[1].stored(), []int{2, 3}) {
		t.Errorf("places %v, want a and b as they are", own)
	}
}

func TestRename(t *testing.T) {
	s := memory(map[string][]int{"m.a": {1}, "b": {2}, "mask": {3}}, map[string][]float32{"m.a": {7}})
	trim := func(name string) (string, bool) { return strings.TrimPrefix(name, "m."), name != "mask" }
	if err := s.Rename("tensors", trim); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Entries()["a"].Read(); err != nil || !slices.Equal(got, []float32{7}) || len(s.Shapes) != 2 {
		t.Errorf("a = %v, %v among %v, want [7] among a and b", got, err, s.Shapes)
	}
	s = memory(map[string][]int{"m.a": {1}, "a": {1}}, nil)
	want := `file: tensors "a" and "m.a" are the same parameter`
	if err := s.Rename("tensors", trim); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLayoutFaults(t *testing.T) {
	var l Layout
	l.Add("a", 2, 3)
	l.Add("b", 4)
	l.Add("c")
	if !l.Has("b") || l.Has("d") {
		t.Error("want b listed, and not d")
	}
	got := l.Faults("dir", map[string]graph.Lazy{"a": {Shape: []int{2, 3}}, "b": {Shape: []int{5}}})
	want := []string{`dir: tensor "b" has shape (5), want (4)`, `dir: no tensor "c", want one of shape ()`}
	if !slices.Equal(got, want) {
		t.Errorf("faults %q, want %q", got, want)
	}
}

func TestWarnUnused(t *testing.T) {
	tensors := graph.NewTensors("dir", map[string]graph.Lazy{"a": {}, "b": {}, "head": {}})
	var told []string
	WarnUnused(tensors, func(s string) { told = append(told, s) }, "head")
	if want := []string{"dir: unused tensors: a, b"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	WarnUnused(tensors, nil)
	told = nil
	if WarnUnused(tensors, func(s string) { told = append(told, s) }, "a", "b", "head"); told != nil {
		t.Errorf("told %q, want nothing", told)
	}
}

// note is a configuration.
type note string

func (n note) Write(path string) error { return os.WriteFile(path, []byte(n), 0o666) }

func TestSaveCopyFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if err := Save(dir, "m", []safetensors.Tensor{{Name: "a", Shape: []int{1}, Data: []float32{4}}}, note("{}")); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSafetensors(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Read("a"); err != nil || got[0] != 4 || !slices.Equal(s.Shapes["a"], []int{1}) {
		t.Errorf("a = %v, %v of %v, want [4] of [1]", got, err, s.Shapes["a"])
	}
	if want := filepath.Join(dir, TensorFile); s.Path != want {
		t.Errorf("path %s, want %s", s.Path, want)
	}
	config := filepath.Join(dir, ConfigFile)
	if Folder(config) != dir || Folder(dir) != dir {
		t.Errorf("folders %s and %s, want %s", Folder(config), Folder(dir), dir)
	}
	if err := Copy(config, filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "copy")); err != nil || string(text) != "{}" {
		t.Errorf("copied %q, %v", text, err)
	}
	if err := Copy(filepath.Join(dir, "missing"), filepath.Join(dir, "none")); err != nil {
		t.Errorf("a missing file: %v, want none", err)
	}
	if err := Save(config, "m", nil, note("")); err == nil || !strings.HasPrefix(err.Error(), "m: ") {
		t.Errorf("error %v, want one of m", err)
	}
}
