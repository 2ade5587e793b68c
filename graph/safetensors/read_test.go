package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// image is the bytes of a file with the given header and data.
func image(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func put(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q", err, part)
		}
	}
}

// Offsets count from the end of the header, in any order of names, and the
// header may end in spaces.
func TestOpen(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "tiny.safetensors"), image(`{
		"__metadata__": {"format": "pt", "": "\u00e9"},
		"b": {"dtype": "F16", "shape": [2, 1], "data_offsets": [0, 4]},
		"a.é": {"shape": [], "data_offsets": [4, 5], "dtype": "U8"},
		"none": {"dtype": "F32", "shape": [3, 0], "data_offsets": [4, 4]},
		"c": {"dtype": "F4", "shape": [2], "data_offsets": [5, 6]}}  `,
		0x00, 0x3c, 0x00, 0xc0, 7, 0x21))
	f := open(t, path)
	if got, want := f.Names(), []string{"a.é", "b", "c", "none"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if got, want := f.Metadata(), map[string]string{"format": "pt", "": "é"}; !reflect.DeepEqual(got, want) {
		t.Errorf("metadata %q, want %q", got, want)
	}
	info, ok := f.Info("b")
	if !ok || info.Name != "b" || info.Dtype != F16 || !slices.Equal(info.Shape, []int{2, 1}) || info.Path != path || info.Size() != 2 {
		t.Errorf("info %+v, %v", info, ok)
	}
	info.Shape[0] = 9
	if info, _ := f.Info("b"); info.Shape[0] != 2 {
		t.Error("caller's change of a shape shows in the file")
	}
	if _, ok := f.Info("d"); ok {
		t.Error("info of a missing tensor")
	}
	if got, err := f.Float32("b"); err != nil || !slices.Equal(got, []float32{1, -2}) {
		t.Errorf("b: %v, %v, want [1 -2]", got, err)
	}
	if got, err := f.Float64("b"); err != nil || !slices.Equal(got, []float64{1, -2}) {
		t.Errorf("b: %v, %v, want [1 -2]", got, err)
	}
	if got, err := f.Int64("a.é"); err != nil || !slices.Equal(got, []int64{7}) {
		t.Errorf("a.é: %v, %v, want [7]", got, err)
	}
	if got, err := f.Float32("none"); err != nil || got == nil || len(got) != 0 {
		t.Errorf("none: %#v, %v, want empty", got, err)
	}
	if got, err := f.Bytes("c"); err != nil || !slices.Equal(got, []byte{0x21}) {
		t.Errorf("c: %v, %v, want [33]", got, err)
	}
	_, err := f.Float32("c")
	wantError(t, err, path, `tensor "c"`, "F4")
	_, err = f.Int64("b")
	wantError(t, err, path, `tensor "b"`, "F16")
	_, err = f.Float32("d")
	wantError(t, err, path, `no tensor "d"`)
}

func TestOpenFaults(t *testing.T) {
	tensor := func(entry string) string { return `{"w":` + entry + `}` }
	four := make([]byte, 4)
	huge := binary.LittleEndian.AppendUint64(nil, math.MaxUint64)
	long := append(binary.LittleEndian.AppendUint64(nil, 50), "{}"...)
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty", nil, "too short"},
		{"seven bytes", huge[:7], "too short"},
		{"huge header", huge, "exceeds the limit"},
		{"header past the end", long, "header of 50 bytes exceeds the file of 10"},
		{"no header", image(""), "not a JSON object"},
		{"text", image("hello"), `begins with 'h'`},
		{"space before the header", image(" {}"), "begins with ' '"},
		{"array", image("[]"), "begins with '['"},
		{"broken JSON", image(`{"w":`), "not a JSON object"},
		{"two objects", image(`{}{}`), "not a JSON object"},
		{"no UTF-8", image("{\"\xff\":{}}"), "UTF-8"},
		{"data without tensors", image("{}", 0), "end at byte 0 of 1"},
		{"repeated tensor", image(`{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 0), `repeated key "w"`},
		{"repeated by escape", image(`{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0077":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 0, 0), `repeated key "w"`},
		{"repeated field", image(tensor(`{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}`)), `"w": repeated key "dtype"`},
		{"unknown field", image(tensor(`{"Dtype":"U8","shape":[0],"data_offsets":[0,0]}`)), `"w": "Dtype": unknown key`},
		{"no fields", image(tensor(`{}`)), `"w": want dtype, shape and data_offsets`},
		{"tensor of null", image(tensor(`null`)), `"w": found <nil>`},
		{"tensor of text", image(tensor(`"x"`)), `"w": found x`},
		{"unknown dtype", image(tensor(`{"dtype":"F31","shape":[1],"data_offsets":[0,4]}`), four...), `unknown dtype "F31"`},
		{"dtype of null", image(tensor(`{"dtype":null,"shape":[1],"data_offsets":[0,4]}`), four...), "want a string"},
		{"shape of null", image(tensor(`{"dtype":"F32","shape":null,"data_offsets":[0,4]}`), four...), `"shape": found <nil>`},
		{"dimension of null", image(tensor(`{"dtype":"F32","shape":[null],"data_offsets":[0,0]}`)), "want an integer"},
		{"nested shape", image(tensor(`{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}`), four...), "want an integer"},
		{"negative dimensions", image(tensor(`{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}`), four...), "found -1"},
		{"fractional dimension", image(tensor(`{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}`), four...), "found 1.0"},
		{"enormous dimension", image(tensor(`{"dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4]}`), four...), "found 18446744073709551617"},
		{"overflowing shape", image(tensor(`{"dtype":"F32","shape":[4294967296,4294967297],"data_offsets":[0,4]}`), four...), "shape (4294967296, 4294967297) overflows"},
		{"overflow behind a zero", image(tensor(`{"dtype":"F32","shape":[0,4294967296,4294967297],"data_offsets":[0,0]}`)), "overflows"},
		{"size overflows", image(tensor(`{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}`)), "overflows"},
		{"too few bytes", image(tensor(`{"dtype":"F32","shape":[1,2],"data_offsets":[0,4]}`), four...), "shape (1, 2) of F32 needs 8 bytes, data_offsets span 4"},
		{"too many bytes", image(tensor(`{"dtype":"U8","shape":[],"data_offsets":[0,4]}`), four...), "needs 1 bytes"},
		{"half a byte", image(tensor(`{"dtype":"F4","shape":[1],"data_offsets":[0,1]}`), 0), "whole bytes"},
		{"one offset", image(tensor(`{"dtype":"U8","shape":[1],"data_offsets":[1]}`), 0), "want begin ≤ end"},
		{"offsets reversed", image(tensor(`{"dtype":"U8","shape":[1],"data_offsets":[2,1]}`), 0), "want begin ≤ end"},
		{"negative offset", image(tensor(`{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}`), 0), "found -1"},
		{"truncated data", image(tensor(`{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`), four...), "ends at byte 8 of 4"},
		{"bytes after the data", image(tensor(`{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`), four...), "end at byte 1 of 4"},
		{"hole before the first", image(tensor(`{"dtype":"U8","shape":[1],"data_offsets":[3,4]}`), four...), "hole"},
		{"hole between", image(`{"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}`, four...), `tensor "w" begins at byte 3, after a hole from 1`},
		{"overlap", image(`{"v":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`, four...), `tensor "w" begins at byte 2, inside another`},
		{"shared bytes", image(`{"v":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, four...), `inside another`},
		{"metadata of numbers", image(`{"__metadata__":{"step":1}}`), `"__metadata__": "step": found 1, want a string`},
		{"repeated metadata", image(`{"__metadata__":{"a":"","a":""}}`), `repeated key "a"`},
		{"deep nesting", image(strings.Repeat(`{"w":`, 20000)), "not a JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := put(t, filepath.Join(t.TempDir(), "model.safetensors"), tt.content)
			_, err := Open(path)
			wantError(t, err, "safetensors: "+path, tt.want)
		})
	}
}

func TestOpenPaths(t *testing.T) {
	one := image(`{"one":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1)
	folder := t.TempDir()
	_, err := Open(folder)
	wantError(t, err, folder, "neither model.safetensors nor model.safetensors.index.json")
	_, err = Open(filepath.Join(folder, "absent"))
	wantError(t, err, "absent", "no such file")

	put(t, filepath.Join(folder, "a.safetensors"), one)
	put(t, filepath.Join(folder, "model.safetensors.index.json"), []byte(`{"weight_map":{"one":"a.safetensors"}}`))
	if got := open(t, folder).Names(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("by index: %q", got)
	}
	put(t, filepath.Join(folder, "model.safetensors"), image("{}"))
	if got := open(t, folder).Names(); len(got) != 0 {
		t.Errorf("a whole file comes before an index: %q", got)
	}

	if err := os.MkdirAll(filepath.Join(folder, "sub", "model.safetensors"), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err = Open(filepath.Join(folder, "sub"))
	wantError(t, err, "not a regular file")
}

func TestReadAfterChange(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "m"), image(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 0, 0, 0, 0))
	f := open(t, path)
	if err := os.Truncate(path, 60); err != nil {
		t.Fatal(err)
	}
	_, err := f.Float32("w")
	wantError(t, err, path, `tensor "w"`, "unexpected EOF")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = f.Bytes("w")
	wantError(t, err, path, "closed")
}

// FuzzOpen checks that any file is refused or read whole, in memory that its
// length bounds.
func FuzzOpen(f *testing.F) {
	f.Add(image("{}"))
	f.Add(image(`{"__metadata__":{"format":"pt"},"v":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"w":{"dtype":"I64","shape":[],"data_offsets":[4,12]}}`, make([]byte, 12)...))
	f.Add(image(`{"v":{"dtype":"BOOL","shape":[1,2,0],"data_offsets":[0,0]},"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, 0))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := &File{tensors: map[string]Info{}, metadata: map[string]string{}}
		if err := file.read("fuzz", bytes.NewReader(content), int64(len(content))); err != nil {
			return
		}
		total := 0
		for _, name := range file.Names() {
			raw, err := file.Bytes(name)
			if err != nil {
				t.Fatal(err)
			}
			total += len(raw)
			info, _ := file.Info(name)
			if info.Size()*info.Dtype.Bits() != 8*len(raw) {
				t.Fatalf("%q: shape %v of %s in %d bytes", name, info.Shape, info.Dtype, len(raw))
			}
			floats, err := file.Float32(name)
			if err == nil && len(floats) != info.Size() {
				t.Fatalf("%q: %d elements for shape %v", name, len(floats), info.Shape)
			}
			ints, err := file.Int64(name)
			if err == nil && len(ints) != info.Size() {
				t.Fatalf("%q: %d elements for shape %v", name, len(ints), info.Shape)
			}
		}
		if total > len(content) {
			t.Fatalf("%d bytes of tensors in %d bytes", total, len(content))
		}
	})
}
