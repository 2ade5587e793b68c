package vqvae

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// The files of a model.
const (
	configFile = "config.json"
	tensorFile = "model.safetensors"
)

// Load reads the model in dir. A missing, misshapen or unknown tensor is an
// error that lists all of them.
func Load(dir string) (*Model, error) {
	c, err := ReadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, tensorFile)
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries := map[string]graph.Lazy{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		entries[name] = graph.Lazy{Shape: info.Shape, Read: func() ([]float32, error) { return f.Float32(name) }}
	}
	if err := deepEnough(c, entries, path); err != nil {
		return nil, err
	}
	stored := graph.NewTensors(path, entries)
	m, err := New(c, stored)
	if err != nil {
		return nil, err
	}
	var unused []string
	for _, name := range stored.Unused() {
		if !strings.HasSuffix(name, ".num_batches_tracked") { // PyTorch's own count
			unused = append(unused, name)
		}
	}
	if len(unused) > 0 {
		return nil, errors.Errorf("%s: the model has no tensors %s", path, strings.Join(unused, ", "))
	}
	return m, nil
}

// deepEnough compares a configuration with what is stored before anything of
// its sizes is allocated.
func deepEnough(c Config, entries map[string]graph.Lazy, path string) error {
	if c.ResidualBlocks > len(entries) {
		return errors.Errorf("%s: %d tensors cannot be those of %d residual blocks", path, len(entries), c.ResidualBlocks)
	}
	stored := 0
	for _, e := range entries {
		stored += product(e.Shape)
	}
	wanted, in := c.Channels, c.Channels
	for _, width := range c.HiddenDims {
		wanted += 16 * in * width
		in = width
	}
	wanted += in * c.EmbeddingDim
	if c.Quantizer != FSQ {
		wanted += c.NumEmbeddings * c.EmbeddingDim
	}
	if wanted > stored {
		return errors.Errorf("%s: %d elements, but the configuration beside it describes a model of more than %d", path, stored, wanted)
	}
	return nil
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be, each whole or not at all. Equal models give equal bytes.
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, "vqvae")
	}
	var tensors []safetensors.Tensor
	for p := range m.Params().All() {
		tensors = append(tensors, safetensors.Tensor{Name: p.Name, Shape: p.Shape(), Data: p.Value.Data()})
	}
	if err := safetensors.Write(filepath.Join(dir, tensorFile), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return m.Config.Write(filepath.Join(dir, configFile))
}
