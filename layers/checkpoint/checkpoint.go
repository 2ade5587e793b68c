// Package checkpoint reads and writes the tensors of stored models: from
// whatever kind of file they come, under whatever names, in whatever layout.
// What the names are is known to each model's package.
package checkpoint

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// The files of a model in its folder.
const (
	ConfigFile = "config.json"
	TensorFile = "model.safetensors"
)

// Config is a configuration that can be written.
type Config interface {
	Write(path string) error
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be, each whole or not at all. The error of a folder that cannot be made names
// the model.
func Save(dir, model string, tensors []safetensors.Tensor, c Config) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, model)
	}
	if err := Write(filepath.Join(dir, TensorFile), tensors); err != nil {
		return err
	}
	return c.Write(filepath.Join(dir, ConfigFile))
}

// Write writes a file that PyTorch's programs accept as theirs.
func Write(path string, tensors []safetensors.Tensor) error {
	return safetensors.Write(path, tensors, map[string]string{"format": "pt"})
}

// Tensors are the values of parameters under their names.
func Tensors(params iter.Seq[*graph.Param]) []safetensors.Tensor {
	var tensors []safetensors.Tensor
	for p := range params {
		tensors = append(tensors, safetensors.Tensor{Name: p.Name, Shape: p.Shape(), Data: p.Value.Data()})
	}
	return tensors
}

// WarnUnused tells warn, which may be nil, of the tensors nobody has asked for,
// but not of those excepted.
func WarnUnused(stored *graph.Tensors, warn func(string), except ...string) {
	unused := slices.DeleteFunc(stored.Unused(), func(name string) bool { return slices.Contains(except, name) })
	if len(unused) > 0 && warn != nil {
		warn(fmt.Sprintf("%s: unused tensors: %s", stored.Origin(), strings.Join(unused, ", ")))
	}
}

// Folder is where the files lie that belong to the checkpoint at path, a file or
// the folder itself.
func Folder(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// Copy copies a file that may be missing, whole or not at all.
func Copy(src, dst string) error {
	text, err := os.ReadFile(src)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.WithStack(err)
	}
	return safetensors.WriteAtomic(dst, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
