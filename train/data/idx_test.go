package data

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// idxBytes is an IDX file of bytes.
func idxBytes(values []byte, shape ...int) []byte {
	b := []byte{0, 0, 8, byte(len(shape))}
	for _, n := range shape {
		b = append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, values...)
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// write puts a file into dir, with the folders it needs, and returns its path.
func write(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMNISTFiles(t *testing.T) {
	images, labels := idxBytes(counting(3*2*4), 3, 2, 4), idxBytes([]byte{9, 0, 4}, 3)
	for _, tt := range []struct {
		name, split, images, labels string
		zip                         bool
	}{
		{"plain", "train", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", false},
		{"gzipped", "train", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", true},
		{"dots", "test", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte", false},
		{"dots, gzipped", "test", "t10k-images.idx3-ubyte.gz", "t10k-labels.idx1-ubyte.gz", true},
		{"unpacked, but still called gz", "test", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, x, y := t.TempDir(), images, labels
			if tt.zip {
				x, y = gzipped(x), gzipped(y)
			}
			write(t, dir, tt.images, x)
			write(t, dir, tt.labels, y)
			ds, err := FashionMNIST(dir, tt.split)
			if err != nil {
				t.Fatal(err)
			}
			ex, err := ds.Example(1)
			if err != nil {
				t.Fatal(err)
			}
			if ds.Len() != 3 || ex.Label != 0 || ex.Name != tt.split+"/1" {
				t.Errorf("%d examples, the second called %s with label %d", ds.Len(), ex.Name, ex.Label)
			}
			if im := ex.Image; im.W != 4 || im.H != 2 || im.C != 1 || !slices.Equal(im.Pix, counting(24)[8:16]) {
				t.Errorf("image %+v", im)
			}
			if c := ds.Classes(); len(c) != 10 || c[0] != "T-shirt/top" || c[9] != "ankle boot" {
				t.Errorf("classes %q", c)
			}
			if ds, err = MNIST(dir, tt.split); err != nil || ds.Classes()[9] != "9" {
				t.Errorf("MNIST: %v", err)
			}
		})
	}
	if _, err := MNIST(t.TempDir(), "train"); err == nil || !strings.Contains(err.Error(), "train-images-idx3-ubyte.gz") {
		t.Errorf("error %v does not name the missing files", err)
	}
	if _, err := MNIST(t.TempDir(), "val"); err == nil || !strings.Contains(err.Error(), `"val"`) {
		t.Errorf("error %v does not name the split", err)
	}
}

func TestOpenIDX(t *testing.T) {
	good := idxBytes(counting(12), 2, 2, 3)
	labels := idxBytes([]byte{1, 2}, 2)
	for _, tt := range []struct {
		name           string
		images, labels []byte
		classes        []string
		want           string // in the error; empty: none
	}{
		{"names the classes by the labels", good, labels, nil, ""},
		{"takes names", good, labels, []string{"a", "b", "c"}, ""},
		{"no images at all", idxBytes(nil, 0, 2, 3), idxBytes(nil, 0), nil, ""},
		{"label out of range", good, labels, []string{"a", "b"}, "labels: label 2 at 1, want 0 to 1"},
		{"counts differ", good, idxBytes([]byte{1, 2, 0}, 3), nil, "2 images in"},
		{"files confused", labels, good, nil, "magic number is 0x00000801, want 0x00000803"},
		{"another type", append([]byte{0, 0, 13, 3}, good[4:]...), labels, nil, "magic number is 0x00000d03"},
		{"empty file", nil, labels, nil, "images: truncated: 0 bytes"},
		{"truncated header", good[:9], labels, nil, "truncated: 5 bytes where 12 are wanted"},
		{"truncated values", good[:len(good)-1], labels, nil, "shape [2 2 3]: truncated: 11 bytes where 12 are wanted"},
		{"truncated gzip", gzipped(good)[:20], labels, nil, "unexpected EOF"},
		{"damaged gzip", append(gzipped(good)[:len(gzipped(good))-8], make([]byte, 8)...), labels, nil, "checksum"},
		{"trailing bytes", append(slices.Clone(good), 0), labels, nil, "trailing bytes"},
		{"trailing bytes in gzip", gzipped(append(slices.Clone(good), 0)), labels, nil, "trailing bytes"},
		{"no width", idxBytes(nil, 2, 2, 0), labels, nil, "image side is 0"},
		{"huge side", idxBytes(nil, 1, 1<<20, 1), labels, nil, "image side is 1048576 pixels, want 1 to 16384"},
		{"huge count", idxBytes(nil, 1<<31, 28, 28), labels, nil, "more than the limit"},
		{"large claim of a small file", idxBytes(nil, 1<<21, 28, 28), labels, nil, "truncated: 0 bytes where 1644167168"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ds, err := OpenIDX(write(t, dir, "images", tt.images), write(t, dir, "labels", tt.labels), tt.classes)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
					t.Errorf("error %v, want %q and the path", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if ds.Len() > 0 && len(ds.Classes()) != 3 {
				t.Errorf("classes %q, want 3", ds.Classes())
			}
		})
	}
}

func FuzzIDX(f *testing.F) {
	f.Add(idxBytes(counting(12), 2, 2, 3))
	f.Add(gzipped(idxBytes(counting(12), 2, 2, 3)))
	f.Add(idxBytes(nil, 1<<31, 1<<14, 1<<14))
	f.Add(gzipped(idxBytes(nil, 1<<20, 28, 28))[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := readIDX(bytes.NewReader(b), 3)
		if err != nil {
			return
		}
		if n := x.shape[0] * x.shape[1] * x.shape[2]; n != len(x.values) {
			t.Errorf("shape %v with %d values", x.shape, len(x.values))
		}
	})
}
