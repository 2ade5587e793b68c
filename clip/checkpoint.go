package clip

import (
	"tessera/graph"
	"tessera/layers/checkpoint"
)

const configFile = checkpoint.ConfigFile

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
	checkpoint.WarnUnused(stored, o.Warn)
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
	return checkpoint.Save(dir, "clip", checkpoint.Tensors(m.Params().All()), m.Config)
}
