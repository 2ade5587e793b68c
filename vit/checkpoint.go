package vit

import (
	"fmt"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/layers/checkpoint"
)

// LoadOptions adapts a checkpoint to its use.
type LoadOptions struct {
	ImageSize int          // another side, in pixels: position embeddings are interpolated; 0: as stored
	Labels    []string     // other names of the classes, with a fresh head where their number differs; nil: as stored
	Seed      uint64       // of a fresh head
	Warn      func(string) // told of what is not used or not stored; may be nil
}

// Load reads the model at path: a folder, a safetensors file beside its
// config.json, or an .npz file. It takes the layouts of transformers, timm
// (config.json is optional) and the original JAX code. A missing or misshapen
// tensor is an error that lists all of them.
func Load(path string, o LoadOptions) (*Model, error) {
	c, stored, done, err := open(path)
	if err != nil {
		return nil, err
	}
	defer done()
	warn := o.Warn
	if warn == nil {
		warn = func(string) {}
	}

	source := graph.Source(stored)
	if o.ImageSize != 0 && o.ImageSize != c.ImageSize {
		from := c.Grid()
		c.ImageSize = o.ImageSize
		if err := c.Validate(); err != nil {
			return nil, errors.WithMessagef(err, "%s", stored.Origin())
		}
		source = resized{stored, from, c.Grid()}
	}
	_, headed := stored.Lookup(headKernel)
	fresh := !headed
	if o.Labels != nil {
		fresh = fresh || len(o.Labels) != c.Classes()
		c.SetLabels(o.Labels)
	} else if !headed {
		warn(fmt.Sprintf("%s: no classification head is stored, it starts fresh with %d classes", stored.Origin(), c.Classes()))
	}
	isHead := func(name string) bool { return name == headKernel || name == headBias }
	if fresh {
		source = graph.Fresh(source, graph.Seed(o.Seed), isHead)
	}
	m, err := New(c, source)
	if err != nil {
		return nil, err
	}
	checkpoint.WarnUnused(stored, warn, headKernel, headBias)
	return m, nil
}

// resized is a source whose position embeddings are interpolated from one
// grid of patches to another.
type resized struct {
	graph.Source
	from, to int // patches on a side
}

func (r resized) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	if name != positionTable || len(shape) != 3 {
		return r.Source.Tensor(name, shape, init)
	}
	width := shape[2]
	table, err := r.Source.Tensor(name, []int{1, 1 + r.from*r.from, width}, init)
	if err != nil {
		return nil, err
	}
	data := interpolatePositions(table.Float32s(), width, r.from, r.to)
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data)), nil
}

// Read opens the checkpoint at path, in any layout Load takes. Tensors have
// Hugging Face names and are read when they are asked for; the file stays open
// as long as they are reachable.
func Read(path string) (Config, *graph.Tensors, error) {
	c, t, _, err := open(path)
	return c, t, err
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be. Both have the form of transformers' ViTForImageClassification, each is
// replaced whole or not at all, and equal models give equal bytes.
func (m *Model) Save(dir string) error {
	return checkpoint.Save(dir, "vit", checkpoint.Tensors(m.Params().All()), published(m.Config))
}

// published is the configuration as transformers looks for it.
func published(c Config) Config {
	c.ModelType = "vit"
	c.Architectures = []string{"ViTForImageClassification"}
	return c
}
