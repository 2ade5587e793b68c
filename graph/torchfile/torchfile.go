package torchfile

import (
	"archive/zip"
	"bytes"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// File is an open file. It may be read from several goroutines at once.
type File struct {
	path    string
	closer  io.Closer
	tensors map[string]*stored
}

// stored is a tensor and where its elements are.
type stored struct {
	dtype  safetensors.Dtype
	shape  []int
	stride []int // elements
	offset int   // elements
	extent int   // elements from offset to the last one, that one included
	data   io.ReaderAt
}

// Open opens the file at path and reads the names and shapes of its tensors.
// Nested dictionaries and modules give names joined by dots; where a trainer
// put the weights beside other things, as state_dict, model_state_dict or model,
// only they count. Errors name the file.
func Open(path string) (*File, error) {
	f, err := open(path)
	return f, errors.Wrapf(err, "torchfile: %s", path)
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
	tensors, err := readArchive(file, stat.Size())
	if err != nil {
		file.Close()
		return nil, err
	}
	return &File{path: path, closer: file, tensors: tensors}, nil
}

// Close closes the file. Tensors cannot be read afterwards.
func (f *File) Close() error { return errors.Wrap(f.closer.Close(), "torchfile") }

// Names lists the tensors in ascending order.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Shape gives the shape of the named tensor, if there is one.
func (f *File) Shape(name string) ([]int, bool) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, false
	}
	return slices.Clone(t.shape), true
}

// Float32 reads the named tensor in row-major order, converted as by
// safetensors.DecodeFloat.
func (f *File) Float32(name string) ([]float32, error) {
	t, ok := f.tensors[name]
	if !ok {
		return nil, errors.Errorf("torchfile: %s: no tensor %q", f.path, name)
	}
	x, err := t.float32s()
	return x, errors.Wrapf(err, "torchfile: %s: tensor %q", f.path, name)
}

func (t *stored) float32s() ([]float32, error) {
	if t.extent == 0 {
		return []float32{}, nil
	}
	size := t.dtype.Bits() / 8
	raw := make([]byte, t.extent*size)
	if n, err := t.data.ReadAt(raw, int64(t.offset*size)); n < len(raw) {
		return nil, errors.Wrap(err, "reading")
	}
	all := make([]float32, t.extent)
	if err := safetensors.DecodeFloat(all, t.dtype, raw); err != nil {
		return nil, err
	}
	if slices.Equal(t.stride, contiguous(t.shape)) {
		return all, nil
	}
	x := make([]float32, 0, len(all))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(t.shape) {
			x = append(x, all[at])
			return
		}
		for i := range t.shape[axis] {
			walk(axis+1, at+i*t.stride[axis])
		}
	}
	walk(0, 0)
	return x, nil
}

// contiguous gives the strides of row-major order.
func contiguous(shape []int) []int {
	stride, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		stride[i] = n
		n *= shape[i]
	}
	return stride
}

// legacy is how files before version 1.6 begin: a pickled magic number.
var legacy = []byte{0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

// readArchive reads the names and shapes of a file of size bytes.
func readArchive(r io.ReaderAt, size int64) (map[string]*stored, error) {
	start := make([]byte, len(legacy))
	if n, _ := r.ReadAt(start, 0); bytes.Equal(start[:n], legacy) {
		return nil, errors.New("the format of PyTorch before 1.6; want a zip file: torch.save(torch.load(path), path) of a later version makes one")
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, errors.Wrap(err, "not a zip file of PyTorch")
	}
	a := archive{r: r, size: size, entries: map[string]*zip.File{}}
	prefix, found := "", 0
	for _, e := range z.File {
		a.entries[e.Name] = e
		if dir, name := path.Split(e.Name); name == "data.pkl" && strings.Count(dir, "/") <= 1 {
			prefix = dir
			found++
		}
	}
	if found != 1 {
		return nil, errors.Errorf("%d entries NAME/data.pkl, want one", found)
	}
	a.prefix = prefix
	if e := a.entries[prefix+"byteorder"]; e != nil {
		order, err := a.bytes(e)
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, errors.Errorf("byte order %q, want little", order)
		}
	}
	pickled, err := a.bytes(a.entries[prefix+"data.pkl"])
	if err != nil {
		return nil, err
	}
	root, steps, err := unpickle(pickled)
	if err != nil {
		return nil, errors.Wrap(err, "data.pkl")
	}
	return a.collect(root, steps)
}

// archive is an open zip file.
type archive struct {
	r       io.ReaderAt
	size    int64
	prefix  string
	entries map[string]*zip.File
}

// section gives the bytes of an entry, which torch.save stores uncompressed.
func (a archive) section(e *zip.File) (*io.SectionReader, error) {
	if e.Method != zip.Store || e.CompressedSize64 != e.UncompressedSize64 {
		return nil, errors.Errorf("entry %q is compressed, want stored as torch.save does", e.Name)
	}
	at, err := e.DataOffset()
	if err != nil {
		return nil, errors.Wrapf(err, "entry %q", e.Name)
	}
	if at > a.size || e.UncompressedSize64 > uint64(a.size-at) {
		return nil, errors.Errorf("entry %q of %d bytes is beyond the end of the file", e.Name, e.UncompressedSize64)
	}
	return io.NewSectionReader(a.r, at, int64(e.UncompressedSize64)), nil
}

func (a archive) bytes(e *zip.File) ([]byte, error) {
	s, err := a.section(e)
	if err != nil {
		return nil, err
	}
	text := make([]byte, s.Size())
	_, err = io.ReadFull(s, text)
	return text, errors.Wrapf(err, "entry %q", e.Name)
}
