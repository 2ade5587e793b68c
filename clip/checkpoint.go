package clip

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/safetensors"
)

const configFile = "config.json"

// LoadOptions say what a checkpoint does not.
type LoadOptions struct {
	HiddenAct string       // activation of files in OpenAI's layout without a configuration
	Warn      func(string) // told of tensors that are not used; may be nil
}

// Load reads the model at path: a folder, or a file of tensors with its
// configuration beside it. It takes the layouts of transformers, openai/CLIP
// and open_clip, from safetensors and from PyTorch's zip files, including those
// of TorchScript that OpenAI publishes. A missing or misshapen tensor is an
// error that lists all of them.
func Load(path string, o LoadOptions) (*Model, error) {
	c, stored, done, err := open(path, o)
	if err != nil {
		return nil, err
	}
	defer done()
	m, err := New(c, stored)
	if err != nil {
		return nil, err
	}
	if unused := stored.Unused(); len(unused) > 0 && o.Warn != nil {
		o.Warn(fmt.Sprintf("%s: unused tensors: %s", stored.Origin(), strings.Join(unused, ", ")))
	}
	return m, nil
}

// Read opens the checkpoint at path as Load does. Tensors have Hugging Face
// names and are read when they are asked for, until done is called.
func Read(path string, o LoadOptions) (c Config, t *graph.Tensors, done func() error, err error) {
	return open(path, o)
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be. Both have the form of transformers' CLIPModel, each is replaced whole or
// not at all, and equal models give equal bytes.
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, "clip")
	}
	var tensors []safetensors.Tensor
	for p := range m.Params().All() {
		tensors = append(tensors, safetensors.Tensor{Name: p.Name, Shape: p.Shape(), Data: p.Value.Data()})
	}
	if err := safetensors.Write(filepath.Join(dir, weightsFile), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return m.Config.Write(filepath.Join(dir, configFile))
}
