package vqvae

import (
	"path/filepath"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/layers/checkpoint"
)

// Load reads the model in dir. A missing, misshapen or unknown tensor is an
// error that lists all of them.
func Load(dir string) (*Model, error) {
	c, err := ReadConfig(filepath.Join(dir, checkpoint.ConfigFile))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, checkpoint.TensorFile)
	s, err := checkpoint.OpenSafetensors(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	entries := s.Entries()
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
	return checkpoint.Save(dir, "vqvae", checkpoint.Tensors(m.Params().All()), m.Config)
}
