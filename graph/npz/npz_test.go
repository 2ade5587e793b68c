package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The archives come from NumPy 1.24 by testdata/generate.py.
func TestOpen(t *testing.T) {
	count := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i - 2)
		}
		return v
	}
	arrays := []struct {
		name  string
		shape []int
		want  []float32
	}{
		{"Transformer/block_0/kernel", []int{1, 2, 3}, count(6)},
		{"bfloat16", []int{1, 2, 3}, count(6)},
		{"bool", []int{2, 1}, []float32{1, 0}},
		{"bytes", []int{2}, []float32{0, 255}},
		{"empty", []int{0, 3}, []float32{}},
		{"fortran", []int{2, 3}, count(6)},
		{"fortran3", []int{2, 3, 4}, count(24)},
		{"half", []int{1, 2, 3}, count(6)},
		{"scalar", []int{}, []float32{-2}},
		{"vector", []int{2}, count(2)},
	}
	for _, archive := range []string{"stored.npz", "deflated.npz"} {
		t.Run(archive, func(t *testing.T) {
			f := reopen(t, filepath.Join("testdata", archive))
			for _, a := range arrays {
				if shape, ok := f.Shape(a.name); !ok || !slices.Equal(shape, a.shape) {
					t.Errorf("%s: shape %v, %v, want %v", a.name, shape, ok, a.shape)
				}
				if got, err := f.Float32(a.name); err != nil || !slices.Equal(got, a.want) {
					t.Errorf("%s: %v, %v, want %v", a.name, got, err, a.want)
				}
			}
			names := f.Names()
			if !slices.IsSorted(names) || len(names) < len(arrays)+3 {
				t.Errorf("names %q", names)
			}
			for name, descr := range map[string]string{"big_endian": ">f4", "complex": "<c8", "text": "<U4"} {
				_, err := f.Float32(name)
				wantError(t, err, archive, name, descr)
			}
			_, err := f.Float32("absent")
			wantError(t, err, archive, `no array "absent"`)
			if _, ok := f.Shape("absent"); ok {
				t.Error("shape of an absent array")
			}
		})
	}
}

// Arrays longer than one piece.
func TestLong(t *testing.T) {
	f := reopen(t, filepath.Join("testdata", "deflated.npz"))
	got, err := f.Float32("long")
	if err != nil || len(got) != 40000 {
		t.Fatalf("long: %d elements, %v", len(got), err)
	}
	for i, v := range got {
		if v != float32(i/400) {
			t.Fatalf("long[%d] = %g, want %d", i, v, i/400)
		}
	}
	if got, err := f.Float32("zeros"); err != nil || !slices.Equal(got, make([]float32, 70000)) {
		t.Errorf("zeros: %v", err)
	}
}

func reopen(t *testing.T, path string) *File {
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

// npy is an array of format 1.0.
func npy(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return append(append(b, header...), data...)
}

// archive stores one entry, whose directory record edit may falsify.
func archive(t testing.TB, name string, content []byte, edit func(*zip.FileHeader)) []byte {
	t.Helper()
	h := &zip.FileHeader{
		Name:               name,
		CRC32:              crc32.ChecksumIEEE(content),
		CompressedSize64:   uint64(len(content)),
		UncompressedSize64: uint64(len(content)),
	}
	if edit != nil {
		edit(h)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(h)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const one = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n"

func TestOpenFaults(t *testing.T) {
	in := func(content []byte) []byte { return archive(t, "w.npy", content, nil) }
	shape := func(s string) []byte { return in(npy("{'descr':'<f4','fortran_order':False,'shape':" + s + "}")) }
	four := make([]byte, 4)
	whole := in(npy(one, four...))
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty", nil, "not a valid zip"},
		{"no zip", []byte("hello"), "not a valid zip"},
		{"truncated zip", whole[:len(whole)-30], "zip"},
		{"other entry", archive(t, "archive/data.pkl", nil, nil), `entry "archive/data.pkl" is no .npy array`},
		{"empty array", in(nil), `array "w": npy header`},
		{"no npy", in([]byte("GIF89a....")), `begins with "GIF89a"`},
		{"version 4", in([]byte("\x93NUMPY\x04\x00\x00\x00\x00\x00")), "version 4.0"},
		{"header past the end", in([]byte("\x93NUMPY\x01\x00\xff\x00{}")), "unexpected EOF"},
		{"huge header", in([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{}")), "exceeds the limit"},
		{"no literal", in(npy("")), "want {"},
		{"missing key", in(npy("{'descr': '<f4', 'shape': ()}")), "want descr, fortran_order and shape"},
		{"repeated key", in(npy("{'shape': (), 'shape': ()}")), `repeated key "shape"`},
		{"unknown key", in(npy("{'order': 'C'}")), `unknown or repeated key "order"`},
		{"open string", in(npy("{'descr")), "want a plain string"},
		{"no comma", in(npy("{'shape': () 'descr': '<f4'}")), "want , or }"},
		{"number for an order", in(npy("{'fortran_order': 1}")), "want False"},
		{"structured type", in(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}")), "want a string"},
		{"long type", in(npy("{'descr': '<f" + strings.Repeat("4", 40) + "'")), "no simple one"},
		{"text after", in(npy(one+"x", four...)), "after the end"},
		{"negative dimension", shape("(-1,)"), `found "-1,)`},
		{"fractional dimension", shape("(1.0,)"), `found "1.0,)`},
		{"open shape", shape("(1"), "want a size"},
		{"spaced shape", shape("(1 1)"), "want , or )"},
		{"bare shape", shape("1"), "want ("},
		{"overflowing shape", shape("(4294967296, 4294967296)"), "shape overflows"},
		{"overflow behind a zero", shape("(0, 4294967296, 4294967296)"), "shape overflows"},
		{"overflowing number", shape("(9223372036854775808,)"), "want a size"},
		{"too many dimensions", shape("(" + strings.Repeat("1,", 65) + ")"), "more than 64 dimensions"},
		{"too few bytes", in(npy(one, 0, 0, 0)), `shape [1] of "<f4" needs 72 bytes with the header, not 71`},
		{"too many bytes", in(npy(one, 0, 0, 0, 0, 0)), "not 73"},
		{"claims more than the file", archive(t, "w.npy", npy(one, four...), func(h *zip.FileHeader) {
			h.CompressedSize64, h.UncompressedSize64 = 1<<40, 1<<40
		}), "damaged archive"},
		{"claims too much compression", archive(t, "w.npy", npy(one, four...), func(h *zip.FileHeader) {
			h.Method, h.UncompressedSize64 = zip.Deflate, 1<<40
		}), "damaged archive"},
		{"stored in another size", archive(t, "w.npy", npy(one, four...), func(h *zip.FileHeader) {
			h.UncompressedSize64 = 100
		}), "damaged archive"},
		{"unknown compression", archive(t, "w.npy", npy(one, four...), func(h *zip.FileHeader) {
			h.Method = 99
		}), "unsupported compression"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.npz")
			if err := os.WriteFile(path, tt.content, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			wantError(t, err, "npz: "+path, tt.want)
		})
	}
	_, err := Open(t.TempDir())
	wantError(t, err, "not a regular file")
	_, err = Open(filepath.Join(t.TempDir(), "absent"))
	wantError(t, err, "no such file")
}

func TestRepeatedArray(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for range 2 {
		w, err := z.Create("w.npy")
		if err != nil {
			t.Fatal(err)
		}
		w.Write(npy(one, 0, 0, 0, 0))
	}
	z.Close()
	_, err := readArchive(bytes.NewReader(b.Bytes()), int64(b.Len()))
	wantError(t, err, `repeated array "w"`)
}

// Headers of versions 2 and 3 have a longer length; quotes may be double.
func TestVersions(t *testing.T) {
	text := `{"shape":(2,1),"fortran_order":True,"descr":"<f4"}`
	for version := byte(2); version <= 3; version++ {
		b := binary.LittleEndian.AppendUint32([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', version, 0}, uint32(len(text)))
		b = archive(t, "w.npy", append(append(b, text...), 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0), nil)
		arrays, err := readArchive(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := arrays["w"].float32(); err != nil || !slices.Equal(got, []float32{1, -2}) {
			t.Errorf("version %d: %v, %v, want [1 -2]", version, got, err)
		}
	}
}

func TestReadFaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"checksum", archive(t, "w.npy", npy(one, 0, 0, 0, 0), func(h *zip.FileHeader) { h.CRC32++ }), "checksum"},
		{"inexact integer", archive(t, "w.npy", npy(strings.Replace(one, "<f4", "<i4", 1), 1, 0, 0, 1), nil), "not exact"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.npz")
			if err := os.WriteFile(path, tt.content, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := reopen(t, path).Float32("w")
			wantError(t, err, "npz: "+path, `array "w"`, tt.want)
		})
	}
}

// FuzzOpen checks that any file is refused or read, in memory that its length
// bounds.
func FuzzOpen(f *testing.F) {
	stored, err := os.ReadFile(filepath.Join("testdata", "stored.npz"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add(archive(f, "w.npy", npy(one, 0, 0, 0, 0), nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		arrays, err := readArchive(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		for name, a := range arrays {
			values, err := a.float32()
			if err == nil && len(values) != a.size() {
				t.Fatalf("%q: %d elements for shape %v", name, len(values), a.shape)
			}
			if len(values) > 1032*len(content) {
				t.Fatalf("%q: %d elements from %d bytes", name, len(values), len(content))
			}
		}
	})
}

// FuzzHeader reaches the literals that checksums keep from FuzzOpen.
func FuzzHeader(f *testing.F) {
	f.Add(one)
	f.Add(`{"shape":(2, 0),'fortran_order':True,"descr":"|V2",}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHeader(text)
		if err != nil {
			return
		}
		if n := h.size(); n < 0 || len(h.shape) > maxRank || len(h.descr) > maxDescr {
			t.Fatalf("shape %v of %q", h.shape, h.descr)
		}
	})
}
