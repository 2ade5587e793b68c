package safetensors

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// File is an open checkpoint of one or several files. It may be read from
// several goroutines at once.
type File struct {
	path     string
	closers  []io.Closer
	tensors  map[string]Info
	metadata map[string]string
}

// Info describes a stored tensor.
type Info struct {
	Name  string
	Dtype Dtype
	Shape []int
	Path  string // the file that holds it

	begin, end int // data_offsets
	data       *io.SectionReader
}

// Size is the number of elements.
func (t Info) Size() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

// Open opens the checkpoint at path: a safetensors file, the index of a sharded
// checkpoint (*.index.json), or a folder that holds model.safetensors or else
// model.safetensors.index.json. It reads headers only. Errors name the file and
// the tensor at fault.
func Open(path string) (*File, error) {
	f := &File{tensors: map[string]Info{}, metadata: map[string]string{}}
	if err := f.openAny(path); err != nil {
		f.Close()
		return nil, errors.Wrap(err, "safetensors")
	}
	return f, nil
}

func (f *File) openAny(path string) error {
	stat, err := os.Stat(path)
	if err != nil {
		return err
	}
	if stat.IsDir() {
		if path, err = inFolder(path); err != nil {
			return err
		}
	}
	f.path = path
	if strings.HasSuffix(path, ".index.json") {
		return f.openShards(path)
	}
	return f.open(path)
}

// inFolder chooses the file to open in a folder.
func inFolder(folder string) (string, error) {
	const single, index = "model.safetensors", "model.safetensors.index.json"
	for _, name := range []string{single, index} {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", errors.Errorf("folder %s holds neither %s nor %s", folder, single, index)
}

// open adds the tensors of the file at path.
func (f *File) open(path string) error {
	file, size, err := openRegular(path)
	if err != nil {
		return err
	}
	f.closers = append(f.closers, file)
	return errors.Wrap(f.read(path, file, size), path)
}

// openRegular refuses pipes, which would block, and devices.
func openRegular(path string) (*os.File, int64, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !stat.Mode().IsRegular() {
		return nil, 0, errors.Errorf("%s: not a regular file", path)
	}
	file, err := os.Open(path)
	return file, stat.Size(), err
}

// read adds the tensors of r, which has size bytes.
func (f *File) read(path string, r io.ReaderAt, size int64) error {
	tensors, metadata, err := readHeader(r, size)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		if other, ok := f.tensors[t.Name]; ok {
			return errors.Errorf("tensor %q is also in %s", t.Name, other.Path)
		}
		t.Path = path
		f.tensors[t.Name] = t
	}
	for key, value := range metadata {
		if _, ok := f.metadata[key]; !ok {
			f.metadata[key] = value
		}
	}
	return nil
}

// Close closes the files. Tensors cannot be read afterwards.
func (f *File) Close() error {
	var first error
	for _, c := range f.closers {
		if err := c.Close(); err != nil && first == nil {
			first = errors.Wrap(err, "safetensors")
		}
	}
	return first
}

// Names lists the tensors in ascending order.
func (f *File) Names() []string {
	return slices.Sorted(maps.Keys(f.tensors))
}

// Info describes the named tensor, if there is one.
func (f *File) Info(name string) (Info, bool) {
	t, ok := f.tensors[name]
	t.Shape = slices.Clone(t.Shape)
	return t, ok
}

// Metadata is the text stored beside the tensors. Where the files of a sharded
// checkpoint disagree on a key, the first of them by name decides.
func (f *File) Metadata() map[string]string {
	return maps.Clone(f.metadata)
}

// Float32 reads the named tensor in row-major order. Floating-point values are
// rounded; integers and booleans must be exact in float32. It is an error if
// there is no such tensor, if its dtype does not convert, or if a value does
// not fit.
func (f *File) Float32(name string) ([]float32, error) {
	return load(f, name, DecodeFloat[float32])
}

// Float64 is Float32 in double precision.
func (f *File) Float64(name string) ([]float64, error) {
	return load(f, name, DecodeFloat[float64])
}

// Int64 reads the named tensor of integers or booleans in row-major order. It
// is an error if there is no such tensor, if it has another dtype, or if a
// value does not fit.
func (f *File) Int64(name string) ([]int64, error) {
	return load(f, name, decodeInt)
}

// Bytes reads the named tensor as it is stored: little-endian, in row-major
// order.
func (f *File) Bytes(name string) ([]byte, error) {
	t, err := f.tensor(name)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, t.data.Size())
	if err := t.readAt(raw, 0); err != nil {
		return nil, t.wrap(err)
	}
	return raw, nil
}

// load reads a tensor in pieces, so that little more than the result is in
// memory.
func load[T any](f *File, name string, decode func([]T, Dtype, []byte) error) ([]T, error) {
	t, err := f.tensor(name)
	if err != nil {
		return nil, err
	}
	if err := decode(nil, t.Dtype, nil); err != nil {
		return nil, t.wrap(err) // no such conversion
	}
	const chunk = 1 << 15 // elements
	size := t.Dtype.Bits() / 8
	raw := make([]byte, min(chunk, t.Size())*size)
	out := make([]T, t.Size())
	for i := 0; i < len(out); i += chunk {
		piece := out[i:min(i+chunk, len(out))]
		raw := raw[:len(piece)*size]
		if err := t.readAt(raw, int64(i*size)); err != nil {
			return nil, t.wrap(err)
		}
		if err := decode(piece, t.Dtype, raw); err != nil {
			return nil, t.wrap(err)
		}
	}
	return out, nil
}

func (f *File) tensor(name string) (Info, error) {
	t, ok := f.tensors[name]
	if !ok {
		return t, errors.Errorf("safetensors: %s: no tensor %q", f.path, name)
	}
	return t, nil
}

// readAt fills raw from the tensor's data at offset.
func (t Info) readAt(raw []byte, offset int64) error {
	n, err := t.data.ReadAt(raw, offset)
	if n == len(raw) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the file shrank since it was opened
	}
	return err
}

func (t Info) wrap(err error) error {
	return errors.Wrapf(err, "safetensors: %s: tensor %q", t.Path, t.Name)
}
