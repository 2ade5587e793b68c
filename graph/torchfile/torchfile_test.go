package torchfile

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const fixtures = "../../testdata/torch"

func TestStateDict(t *testing.T) {
	f, err := Open(filepath.Join(fixtures, "state.pt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, tt := range []struct {
		name  string
		shape []int
		want  []float32
	}{
		{"float", []int{2, 3}, []float32{0.5, -1, 2, 3, 4, 5.25}},
		{"half", []int{3}, []float32{0.5, -65504, 0.0009765625}},
		{"bfloat", []int{2, 1}, []float32{1, -0.5}},
		{"count", []int{}, []float32{7}},
		{"empty", []int{0, 4}, []float32{}},
		{"part", []int{2, 2}, []float32{4, 5, 7, 8}},
		{"transposed", []int{3, 2}, []float32{0, 3, 1, 4, 2, 5}},
		{"tied", []int{2, 3}, []float32{0.5, -1, 2, 3, 4, 5.25}},
	} {
		shape, ok := f.Shape(tt.name)
		if !ok || !slices.Equal(shape, tt.shape) {
			t.Errorf("%s has shape %v, want %v", tt.name, shape, tt.shape)
		}
		if got, err := f.Float32(tt.name); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s is %v (%v), want %v", tt.name, got, err, tt.want)
		}
	}
	if n := len(f.Names()); n != 8 {
		t.Errorf("names %v, want eight", f.Names())
	}
	if _, ok := f.Shape("weight"); ok {
		t.Error("there is a shape of a tensor that is not there")
	}
	if _, err := f.Float32("weight"); err == nil || !strings.Contains(err.Error(), `no tensor "weight"`) {
		t.Errorf("error %v, want one that names the tensor", err)
	}
}

func TestNames(t *testing.T) {
	for file, want := range map[string][]string{
		"trainer.pt": {"module.logit_scale", "module.visual.transformer.resblocks.0.attn.in_proj_weight"},
		"script.pt":  {"logit_scale", "visual.transformer.resblocks.0.attn.in_proj_weight", "input_resolution"},
	} {
		f, err := Open(filepath.Join(fixtures, file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, name := range want {
			if !slices.Contains(f.Names(), name) {
				t.Errorf("%s: no %s among %v", file, name, f.Names())
			}
		}
		for _, name := range f.Names() {
			if strings.Contains(name, "state_dict") {
				t.Errorf("%s: name %s", file, name)
			}
		}
	}
}

// pickled is a file whose pickle is the given bytes, with four numbers stored.
func pickled(t testing.TB, pickle string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range map[string]string{"a/data.pkl": pickle, "a/data/0": strings.Repeat("\x00\x00\x80\x3f", 4)} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// view pickles {"w": tensor} for a storage of size elements.
func view(size, offset, shape, stride string) string {
	return "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" +
		size + "tQ" + offset + shape + stride + "\x89}tRs."
}

func TestErrors(t *testing.T) {
	const two, eight = "K\x02", "K\x08"
	for _, tt := range []struct{ name, pickle, want string }{
		{"as it should be", view("K\x04", "K\x00", two+two+"\x86", two+"K\x01\x86"), ""},
		{"code to run", "\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", `"os.system" is no part`},
		{"code to run, by its later spelling", "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", `"os.system" is no part`},
		{"an unknown instruction", "\x80\x02i", "instruction 0x69"},
		{"an extension", "\x80\x02\x82\x01.", "instruction 0x82"},
		{"an old protocol", "\x80\x01}.", "protocol 1"},
		{"nothing", "", "ends early"},
		{"an empty stack", ".", "stack is empty"},
		{"no mark", "\x80\x02t.", "no mark"},
		{"a mark for a value", "\x80\x02(.", "a mark"},
		{"a string beyond the end", "\x80\x02X\xff\xff\xff\xffa.", "ends early"},
		{"a string of other bytes", "\x80\x02X\x01\x00\x00\x00\xff.", "not UTF-8"},
		{"nothing remembered", "\x80\x02h\x07.", "nothing is remembered as 7"},
		{"a great integer", "\x80\x02\x8a\x09123456789.", "9 bytes"},
		{"items for a number", "\x80\x02K\x01K\x02a.", "want a list"},
		{"a key without a value", "\x80\x02}(K\x01u.", "want pairs"},
		{"no tensors", "\x80\x02}.", "no tensors"},
		{"a dictionary within itself", "\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.", "nested too deeply"},
		{"a call of a number", "\x80\x02K\x01)R.", "want a global"},
		{"a tensor of nothing", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "0 arguments"},
		{"a state of a number", "\x80\x02K\x01}b.", "is given a state"},
		{"a storage of another kind", "\x80\x02K\x01Q.", "no storage"},
		{"more elements than stored", view("K\x04", "K\x00", two+eight+"\x86", eight+"K\x01\x86"), "shape [2 8]"},
		{"beyond the storage", view("K\x04", two, two+two+"\x86", two+"K\x01\x86"), "from 2 on of 4"},
		{"a stride beyond the storage", view("K\x04", "K\x00", two+"\x85", eight+"\x85"), "strides [8]"},
		{"a negative size", view("K\x04", "K\x00", "J\xff\xff\xff\xff\x85", two+"\x85"), "in a shape"},
		{"repeated without end", view("K\x04", "K\x00", "J\xff\xff\xff\x7f\x85", "K\x00\x85"), "for 4 stored"},
		{"more stored than there is", view(eight, "K\x00", two+"\x85", "K\x01\x85"), "16 bytes, want 8 elements"},
		{"a scalar", view("K\x04", "K\x03", ")", ")"), ""},
		{"a scalar beyond the storage", view("K\x04", "K\x04", ")", ")"), "from 4 on of 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.pt")
			if err := os.WriteFile(path, pickled(t, tt.pickle), 0o666); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got, err := f.Float32("w"); err != nil || got[0] != 1 {
					t.Errorf("w is %v (%v), want ones", got, err)
				}
				f.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the path", err, tt.want)
			}
		})
	}
}

func TestFileErrors(t *testing.T) {
	for _, tt := range []struct{ name, content, want string }{
		{"old.bin", string(legacy) + "more", "before 1.6"},
		{"empty.pt", "", "not a zip file"},
		{"text.pt", "version https://git-lfs.github.com/spec/v1", "not a zip file"},
		{"other.pt", "PK\x05\x06" + strings.Repeat("\x00", 18), "0 entries NAME/data.pkl"},
	} {
		path := filepath.Join(t.TempDir(), tt.name)
		if err := os.WriteFile(path, []byte(tt.content), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := Open(filepath.Join(fixtures, "foreign.pt")); err == nil || !strings.Contains(err.Error(), `"torch.Script" is no part`) {
		t.Errorf("error %v, want one that names the class", err)
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v, want one that tells a folder", err)
	}
	if _, err := Open("nowhere.pt"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v, want one that there is no file", err)
	}
	// A compressed entry would have a size of its own.
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create("a/data.pkl")
	w.Write([]byte(strings.Repeat("}", 1000)))
	z.Close()
	if _, err := readArchive(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil || !strings.Contains(err.Error(), "is compressed") {
		t.Errorf("error %v, want one that tells a compressed entry", err)
	}
}

// FuzzUnpickle reads every tensor of any pickle.
func FuzzUnpickle(f *testing.F) {
	for _, name := range []string{"state.pt", "trainer.pt", "script.pt"} {
		z, err := zip.OpenReader(filepath.Join(fixtures, name))
		if err != nil {
			f.Fatal(err)
		}
		r, err := z.Open("archive/data.pkl")
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(r); err != nil {
			f.Fatal(err)
		}
		f.Add(b.String())
		z.Close()
	}
	f.Add(view("K\x04", "K\x00", "K\x02K\x02\x86", "K\x02K\x01\x86"))
	f.Fuzz(func(t *testing.T, pickle string) { readAll(pickled(t, pickle)) })
}

// FuzzArchive reads every tensor of any file.
func FuzzArchive(f *testing.F) {
	text, err := os.ReadFile(filepath.Join(fixtures, "state.pt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(pickled(f, view("K\x04", "K\x00", "K\x02K\x02\x86", "K\x02K\x01\x86")))
	f.Fuzz(func(t *testing.T, file []byte) { readAll(file) })
}

// readAll must not panic, whatever it reads.
func readAll(file []byte) {
	tensors, err := readArchive(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return
	}
	for _, s := range tensors {
		if x, err := s.float32s(); err == nil {
			n := 1
			for _, d := range s.shape {
				n *= d
			}
			if len(x) != n {
				panic("a tensor of another size than its shape")
			}
		}
	}
}
