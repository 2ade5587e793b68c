// Package npz reads and writes NumPy's .npz archives, the checkpoints of JAX
// models: zip files of arrays in the .npy format
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
package npz

import (
	"archive/zip"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// File is an open archive. It may be read from several goroutines at once.
type File struct {
	path   string
	closer io.Closer
	arrays map[string]array
}

// array is where an array is stored.
type array struct {
	header
	entry *zip.File
	start int // bytes of header before the data
}

// Open opens the archive at path and reads the headers of its arrays. Errors
// name the file and the array at fault.
func Open(path string) (*File, error) {
	f, err := open(path)
	return f, errors.Wrapf(err, "npz: %s", path)
}

func open(path string) (*File, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	arrays, err := readArchive(file, stat.Size())
	if err != nil {
		file.Close()
		return nil, err
	}
	return &File{path: path, closer: file, arrays: arrays}, nil
}

func readArchive(r io.ReaderAt, size int64) (map[string]array, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	arrays := map[string]array{}
	for _, entry := range archive.File {
		name, ok := strings.CutSuffix(entry.Name, ".npy")
		if !ok {
			return nil, errors.Errorf("entry %q is no .npy array", entry.Name)
		}
		if _, ok := arrays[name]; ok {
			return nil, errors.Errorf("repeated array %q", name)
		}
		if arrays[name], err = readArray(entry, size); err != nil {
			return nil, errors.Wrapf(err, "array %q", name)
		}
	}
	return arrays, nil
}

// readArray reads an array's header and holds the sizes it claims against each
// other and the archive's.
func readArray(entry *zip.File, size int64) (array, error) {
	// No method of compression that NumPy writes shrinks further than deflate
	// does, 258 bytes into 2 bits.
	const deflate = 1032
	compressed, full := entry.CompressedSize64, entry.UncompressedSize64
	if compressed > uint64(size) || full > deflate*compressed || entry.Method == zip.Store && full != compressed {
		return array{}, errors.Errorf("%d bytes from %d compressed ones in a file of %d: damaged archive", full, compressed, size)
	}
	r, err := entry.Open()
	if err != nil {
		return array{}, err
	}
	defer r.Close()
	h, start, err := readHeader(r)
	if err != nil {
		return array{}, err
	}
	if h.dtype != "" {
		want := uint64(start) + uint64(h.size())*uint64(h.dtype.Bits()/8)
		if full != want {
			return array{}, errors.Errorf("shape %v of %q needs %d bytes with the header, not %d", h.shape, h.descr, want, full)
		}
	}
	return array{h, entry, start}, nil
}

// Close closes the archive. Arrays cannot be read afterwards.
func (f *File) Close() error {
	return errors.Wrap(f.closer.Close(), "npz")
}

// Names lists the arrays in ascending order, without the suffix .npy.
func (f *File) Names() []string {
	return slices.Sorted(maps.Keys(f.arrays))
}

// Shape is the shape of the named array, if there is one.
func (f *File) Shape(name string) ([]int, bool) {
	a, ok := f.arrays[name]
	return slices.Clone(a.shape), ok
}

// Float32 reads the named array in row-major order, whichever order the file
// has. Floating-point values, bfloat16 included, are rounded; integers and
// booleans must be exact in float32. It is an error if there is no such array,
// if its type does not convert, or if a value does not fit.
func (f *File) Float32(name string) ([]float32, error) {
	a, ok := f.arrays[name]
	if !ok {
		return nil, errors.Errorf("npz: %s: no array %q", f.path, name)
	}
	values, err := a.float32()
	return values, errors.Wrapf(err, "npz: %s: array %q", f.path, name)
}

func (a array) float32() ([]float32, error) {
	if a.dtype == "" {
		return nil, errors.Errorf("no conversion from type %q to float32", a.descr)
	}
	r, err := a.entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, int64(a.start)); err != nil {
		return nil, err
	}
	// What a compressed entry expands to is known only once it has: its result
	// grows as data arrives.
	const chunk = 1 << 15 // elements
	n, size := a.size(), a.dtype.Bits()/8
	values := make([]float32, 0, min(n, chunk))
	if a.entry.Method == zip.Store {
		values = make([]float32, 0, n)
	}
	raw := make([]byte, min(n, chunk)*size)
	for len(values) < n {
		k := min(chunk, n-len(values))
		if _, err := io.ReadFull(r, raw[:k*size]); err != nil {
			return nil, err
		}
		values = append(values, make([]float32, k)...)
		if err := safetensors.DecodeFloat(values[len(values)-k:], a.dtype, raw[:k*size]); err != nil {
			return nil, err
		}
	}
	// The checksum is compared where the data ends.
	if _, err := io.ReadFull(r, make([]byte, 1)); err == nil {
		return nil, errors.New("more data than its shape needs")
	} else if err != io.EOF {
		return nil, err
	}
	if a.fortran {
		values = rowMajor(values, a.shape)
	}
	return values, nil
}

// rowMajor reorders values from the order in which the first index runs
// fastest.
func rowMajor(values []float32, shape []int) []float32 {
	stride := make([]int, len(shape))
	for i, step := 0, 1; i < len(shape); i++ {
		stride[i] = step
		step *= shape[i]
	}
	out := make([]float32, len(values))
	index, from := make([]int, len(shape)), 0
	for to := range out {
		out[to] = values[from]
		for i := len(shape) - 1; i >= 0; i-- {
			index[i]++
			from += stride[i]
			if index[i] < shape[i] {
				break
			}
			from -= stride[i] * shape[i]
			index[i] = 0
		}
	}
	return out
}
