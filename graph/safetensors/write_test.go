package safetensors

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"
)

// The bytes are those of the reference implementation.
func TestEncode(t *testing.T) {
	var b bytes.Buffer
	err := encode(&b, []Tensor{
		{"w<1>", []int{1, 2}, []float32{1, -2}},
		{"b", nil, []float32{0.5}},
		{"z", []int{1}, []int64{-1}},
		{"d", []int{0, 3}, []float64{}},
	}, map[string]string{"format": "pt", "a": "é"})
	if err != nil {
		t.Fatal(err)
	}
	header := `{"__metadata__":{"a":"é","format":"pt"}` +
		`,"z":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}` +
		`,"d":{"dtype":"F64","shape":[0,3],"data_offsets":[8,8]}` +
		`,"b":{"dtype":"F32","shape":[],"data_offsets":[8,12]}` +
		`,"w<1>":{"dtype":"F32","shape":[1,2],"data_offsets":[12,20]}}`
	header += strings.Repeat(" ", -len(header)&7)
	want := image(header, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0x3f, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0)
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got\n%q, want\n%q", b.Bytes(), want)
	}
}

func TestEncodeNothing(t *testing.T) {
	var b bytes.Buffer
	if err := encode(&b, nil, nil); err != nil || b.String() != "\x08\x00\x00\x00\x00\x00\x00\x00{}      " {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	// Longer than a chunk, in reading and in writing.
	long := make([]float32, 70001)
	for i := range long {
		long[i] = float32(i) / 7
	}
	tensors := []Tensor{
		{"long", []int{1, 70001}, long},
		{"", []int{2}, []float64{math.Pi, math.Inf(-1)}},
		{"quote\"\\\u2028\n", []int{}, []int64{math.MinInt64}},
		{"empty", []int{0}, []float32(nil)},
	}
	metadata := map[string]string{"step": "12", "<&>": "\x00"}
	if err := Write(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	if got := f.Metadata(); !reflect.DeepEqual(got, metadata) {
		t.Errorf("metadata %q, want %q", got, metadata)
	}
	if got := f.Names(); len(got) != len(tensors) {
		t.Errorf("names %q", got)
	}
	for _, tensor := range tensors {
		info, ok := f.Info(tensor.Name)
		if !ok || !slices.Equal(info.Shape, tensor.Shape) {
			t.Errorf("%q: %+v, want shape %v", tensor.Name, info, tensor.Shape)
		}
	}
	if got, err := f.Float32("long"); err != nil || !slices.Equal(got, long) {
		t.Errorf("long: %v", err)
	}
	if got, err := f.Float64(""); err != nil || !slices.Equal(got, tensors[1].Data.([]float64)) {
		t.Errorf("float64: %v, %v", got, err)
	}
	if got, err := f.Int64(tensors[2].Name); err != nil || !slices.Equal(got, []int64{math.MinInt64}) {
		t.Errorf("int64: %v, %v", got, err)
	}

	first, _ := os.ReadFile(path)
	slices.Reverse(tensors)
	if err := Write(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
		t.Error("the order of tensors shows in the file")
	}
}

func TestWriteFaults(t *testing.T) {
	ok := Tensor{"w", []int{1}, []float32{0}}
	for _, tt := range []struct {
		name     string
		tensors  []Tensor
		metadata map[string]string
		want     string
	}{
		{"repeated name", []Tensor{ok, ok}, nil, `tensor "w": repeated name`},
		{"reserved name", []Tensor{{"__metadata__", nil, []float32{0}}}, nil, "reserved"},
		{"name of bad bytes", []Tensor{{"\xff", nil, []float32{0}}}, nil, "UTF-8"},
		{"too few elements", []Tensor{{"w", []int{2, 3}, make([]float32, 5)}}, nil, `tensor "w": 5 elements for shape (2, 3)`},
		{"scalar without element", []Tensor{{"w", nil, []int64{}}}, nil, "0 elements for shape ()"},
		{"negative shape", []Tensor{{"w", []int{-1, -1}, []float32{0}}}, nil, "negative"},
		{"overflowing shape", []Tensor{{"w", []int{math.MaxInt, 2}, []float32{}}}, nil, "overflows"},
		{"no data", []Tensor{{"w", nil, nil}}, nil, "data of type <nil>"},
		{"other data", []Tensor{{"w", nil, []int{0}}}, nil, "data of type []int"},
		{"metadata of bad bytes", nil, map[string]string{"a": "\xff"}, "UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m")
			err := Write(path, tt.tensors, tt.metadata)
			wantError(t, err, "safetensors: write "+path, tt.want)
			wantFolder(t, filepath.Dir(path))
		})
	}
}

// limited fails like a disk that is full after n bytes.
type limited struct{ n int }

var errFull = errors.New("no space left on device")

func (w *limited) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return w.n, errFull
	}
	w.n -= len(p)
	return len(p), nil
}

func TestDiskFull(t *testing.T) {
	tensors := []Tensor{{"a", []int{2}, []int64{1, 2}}, {"w", []int{20000}, make([]float32, 20000)}}
	var whole bytes.Buffer
	if err := encode(&whole, tensors, nil); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < whole.Len(); n += 999 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if err := encode(&limited{n}, tensors, nil); !errors.Is(err, errFull) {
				t.Errorf("error %v, want %v", err, errFull)
			}
		})
	}
	if err := encode(&limited{whole.Len()}, tensors, nil); err != nil {
		t.Error(err)
	}
}

// wantFolder checks that a folder holds the named files and nothing else.
func wantFolder(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("folder holds %q, want %q", got, want)
	}
}

func TestWriteAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	say := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	if err := WriteAtomic(path, say("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}

	// Whatever stops the writer, the old file stays and no other is left.
	long := strings.Repeat("new", 1<<20)
	err := WriteAtomic(path, func(w io.Writer) error {
		if err := say(long)(w); err != nil {
			return err
		}
		return errFull
	})
	if !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
	wantError(t, err, "write "+path)
	func() {
		defer func() { recover() }()
		WriteAtomic(path, func(w io.Writer) error { panic("stop") })
		t.Error("a writer's panic was swallowed")
	}()
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("after failures: %.10q, want old", got)
	}
	wantFolder(t, filepath.Dir(path), "config.json")

	if err := WriteAtomic(path, say(long)); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != long {
		t.Errorf("%d bytes, want %d", len(got), len(long))
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v, want that of the old file", stat.Mode(), err)
	}
	wantFolder(t, filepath.Dir(path), "config.json")
}

func TestWriteAtomicBadTargets(t *testing.T) {
	folder := t.TempDir()
	sub := filepath.Join(folder, "sub")
	if err := os.Mkdir(sub, 0o777); err != nil {
		t.Fatal(err)
	}
	nothing := func(io.Writer) error { return nil }
	for _, path := range []string{sub, filepath.Join(folder, "absent", "file")} {
		wantError(t, WriteAtomic(path, nothing), path)
	}
	wantFolder(t, folder, "sub")
}
