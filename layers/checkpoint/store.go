package checkpoint

import (
	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/npz"
	"tessera/graph/safetensors"
	"tessera/graph/torchfile"
)

// Store is an open file of tensors.
type Store struct {
	Path   string // for messages
	Shapes map[string][]int
	Read   func(name string) ([]float32, error)
	Close  func() error
}

// OpenSafetensors opens a file of safetensors, an index, or a folder of either.
func OpenSafetensors(path string) (*Store, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	s := newStore(path, f, func(name string) ([]int, bool) {
		info, ok := f.Info(name)
		return info.Shape, ok
	})
	if Folder(path) == path {
		for _, name := range f.Names() {
			info, _ := f.Info(name)
			s.Path = info.Path // any of several
		}
	}
	return s, nil
}

// OpenTorch opens a file of PyTorch's.
func OpenTorch(path string) (*Store, error) {
	f, err := torchfile.Open(path)
	if err != nil {
		return nil, err
	}
	return newStore(path, f, f.Shape), nil
}

// OpenNPZ opens an archive of NumPy's.
func OpenNPZ(path string) (*Store, error) {
	f, err := npz.Open(path)
	if err != nil {
		return nil, err
	}
	return newStore(path, f, f.Shape), nil
}

// file is what the kinds of file have in common.
type file interface {
	Names() []string
	Float32(name string) ([]float32, error)
	Close() error
}

func newStore(path string, f file, shape func(name string) ([]int, bool)) *Store {
	s := &Store{Path: path, Shapes: map[string][]int{}, Read: f.Float32, Close: f.Close}
	for _, name := range f.Names() {
		s.Shapes[name], _ = shape(name)
	}
	return s
}

// Rename gives every tensor the name that as returns, and drops it where ok is
// false. Two of one name are an error, which calls them what.
func (s *Store) Rename(what string, as func(name string) (to string, ok bool)) error {
	shapes, from := map[string][]int{}, map[string]string{}
	for name, shape := range s.Shapes {
		to, ok := as(name)
		if !ok {
			continue
		}
		if other, ok := from[to]; ok {
			return errors.Errorf("%s: %s %q and %q are the same parameter", s.Path, what, min(other, name), max(other, name))
		}
		from[to], shapes[to] = name, shape
	}
	read := s.Read
	s.Shapes, s.Read = shapes, func(name string) ([]float32, error) { return read(from[name]) }
	return nil
}

// Entries are all tensors, read when they are asked for.
func (s *Store) Entries() map[string]graph.Lazy {
	entries := map[string]graph.Lazy{}
	for name, shape := range s.Shapes {
		entries[name] = s.entry(name, shape)
	}
	return entries
}

func (s *Store) entry(name string, shape []int) graph.Lazy {
	return graph.Lazy{Shape: shape, Read: func() ([]float32, error) { return s.Read(name) }}
}
