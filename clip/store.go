package clip

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
	"tessera/graph/torchfile"
)

// The names under which a folder may hold the tensors, the first found counts.
const weightsFile = "model.safetensors"

var weightsFiles = []string{
	weightsFile, "model.safetensors.index.json", openCLIPFile,
	"pytorch_model.bin", "open_clip_pytorch_model.bin",
}

// store is an open file of tensors.
type store struct {
	path   string
	shapes map[string][]int
	read   func(name string) ([]float32, error)
	close  func() error
}

// openStore opens the tensors at path, a file or a folder.
func openStore(path string) (*store, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Wrap(err, "clip")
	}
	if info.IsDir() {
		if path, err = weightsIn(path); err != nil {
			return nil, err
		}
	}
	var s *store
	if ext := filepath.Ext(path); ext == ".safetensors" || ext == ".json" {
		s, err = openSafetensors(path)
	} else {
		s, err = openTorch(path)
	}
	if err != nil {
		return nil, err
	}
	if err := s.normalize(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func weightsIn(folder string) (string, error) {
	for _, name := range weightsFiles {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, errors.Wrap(err, "clip")
		}
	}
	return "", errors.Errorf("clip: %s holds none of %s", folder, strings.Join(weightsFiles, ", "))
}

func openSafetensors(path string) (*store, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	s := &store{path: path, shapes: map[string][]int{}, read: f.Float32, close: f.Close}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		s.shapes[name] = info.Shape
	}
	return s, nil
}

func openTorch(path string) (*store, error) {
	f, err := torchfile.Open(path)
	if err != nil {
		return nil, err
	}
	s := &store{path: path, shapes: map[string][]int{}, read: f.Float32, close: f.Close}
	for _, name := range f.Names() {
		s.shapes[name], _ = f.Shape(name)
	}
	return s, nil
}

// normalize drops what is no weight, and the prefixes that training scripts and
// open_clip's CustomTextCLIP put before the names of the original.
func (s *store) normalize() error {
	shapes, names := map[string][]int{}, map[string]string{}
	for name, shape := range s.shapes {
		as := name
		for _, prefix := range []string{"module.", "_orig_mod.", "text."} {
			as = strings.TrimPrefix(as, prefix)
		}
		if isBuffer(as) {
			continue
		}
		if old, ok := names[as]; ok {
			return errors.Errorf("%s: tensors %q and %q are the same parameter", s.path, min(old, name), max(old, name))
		}
		names[as], shapes[as] = name, shape
	}
	read := s.read
	s.shapes, s.read = shapes, func(name string) ([]float32, error) { return read(names[name]) }
	return nil
}

// isBuffer accepts what published files hold beside weights: indices, sizes and
// masks that follow from the configuration. OpenAI's sizes are kept: they tell
// whose file it is.
func isBuffer(name string) bool {
	return strings.HasSuffix(name, ".position_ids") || slices.Contains([]string{"attn_mask", "text.attn_mask"}, name)
}
