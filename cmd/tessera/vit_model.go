package main

import (
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/train/data"
	"tessera/vit"
)

const preprocessFile = "preprocessor_config.json"

// classifier is a model and how images become its input.
type classifier struct {
	*vit.Model
	input data.Preprocess
}

// loadClassifier reads the model in dir with the preprocessing found beside it,
// or the usual one where there is none.
func loadClassifier(dir string, o vit.LoadOptions, log *slog.Logger) (*classifier, error) {
	o.Warn = func(s string) { log.Warn(s) }
	m, err := vit.Load(dir, o)
	if err != nil {
		return nil, err
	}
	p, err := data.ReadPreprocess(filepath.Join(dir, preprocessFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p = preprocess(m.Channels, m.ImageSize)
		log.Warn("no "+preprocessFile+" beside the model: images are resized to a square and mapped to [-1, 1]", "model", dir)
	case err != nil:
		return nil, err
	case o.ImageSize > 0:
		resizeInput(&p, o.ImageSize)
	}
	if w, h := p.Output(); w != m.ImageSize || h != m.ImageSize || p.Channels() != m.Channels {
		return nil, errors.Errorf("%s gives images of %d×%d pixels in %d channels, but the model beside it wants %d×%d in %d",
			filepath.Join(dir, preprocessFile), w, h, p.Channels(), m.ImageSize, m.ImageSize, m.Channels)
	}
	return &classifier{m, p}, nil
}

// save writes the model and its preprocessing to dir.
func (c *classifier) save(dir string) error {
	if err := c.Model.Save(dir); err != nil {
		return err
	}
	return c.input.Write(filepath.Join(dir, preprocessFile))
}

// preprocess is ViT's preprocessing for any number of channels.
func preprocess(channels, size int) data.Preprocess {
	p := data.ViTPreprocess(size)
	p.ImageMean, p.ImageStd = p.ImageMean[:channels:channels], p.ImageStd[:channels:channels]
	p.DoConvertRGB = channels == 3
	return p
}

// resizeInput changes the side of what p gives, keeping the margin of a crop in
// proportion.
func resizeInput(p *data.Preprocess, size int) {
	w, _ := p.Output()
	scale := func(n int) int { return (n*size + w/2) / w }
	p.Size = data.Size{Height: scale(p.Size.Height), Width: scale(p.Size.Width), ShortestEdge: scale(p.Size.ShortestEdge)}
	if p.DoCenterCrop {
		p.CropSize = data.Size{Height: size, Width: size}
	}
}

// labels lists the names of a model's classes in order.
func labels(c vit.Config) []string {
	names := make([]string, c.Classes())
	for i := range names {
		names[i] = c.Label(i)
	}
	return names
}

// config is the configuration that a run starts from, with the flags applied:
// that of a preset, or of the checkpoint to fine-tune.
func (o *vitSettings) config() (vit.Config, error) {
	var c vit.Config
	var err error
	if o.init != "" {
		c, _, err = vit.Read(o.init)
	} else if !slices.Contains(vit.Presets(), o.preset) {
		err = unknown("preset", o.preset, vit.Presets())
	} else {
		c, err = vit.Preset(o.preset)
	}
	if err != nil {
		return c, err
	}
	if o.imageSize > 0 {
		c.ImageSize = o.imageSize
		if c.ImageSize%c.PatchSize != 0 {
			return c, usagef("--image-size %d is no multiple of the model's patches of %d pixels", o.imageSize, c.PatchSize)
		}
	}
	if o.pooling != "" {
		c.Pooling = o.pooling
	}
	c.HiddenDropout, c.AttentionDropout, c.DropPath = o.dropout, o.attentionDropout, o.dropPath
	return c, nil
}

// start makes the model of a new run.
func (o *vitSettings) start(c vit.Config, classes []string, log *slog.Logger) (*classifier, error) {
	if o.init == "" {
		c.SetLabels(classes)
		m, err := vit.New(c, graph.Seed(o.seed))
		return &classifier{m, preprocess(c.Channels, c.ImageSize)}, err
	}
	m, err := loadClassifier(o.init, vit.LoadOptions{ImageSize: o.imageSize, Labels: classes, Seed: o.seed}, log)
	if err != nil {
		return nil, err
	}
	// Dropout is a part of the layers: they are made anew around the weights.
	c.SetLabels(classes)
	m.Model, err = vit.New(c, stored(m.Params(), o.init))
	return m, err
}

// stored is a source of the values of existing parameters.
func stored(ps *graph.Params, origin string) graph.Source {
	entries := map[string]graph.Lazy{}
	for p := range ps.All() {
		entries[p.Name] = graph.Lazy{
			Shape: p.Shape(),
			Read:  func() ([]float32, error) { return slices.Clone(p.Float32s()), nil },
		}
	}
	return graph.NewTensors(origin, entries)
}

// freeze stops the training of the parameters that match a pattern.
func freeze(ps *graph.Params, patterns []string) error {
	for _, pattern := range patterns {
		found := false
		for p := range ps.All() {
			ok, err := path.Match(pattern, p.Name)
			if err != nil {
				return usagef("--freeze %s: %v", pattern, err)
			}
			if ok {
				p.Frozen, found = true, true
			}
		}
		if !found {
			return usagef("--freeze %s matches no parameter; the last is called %s", pattern, lastName(ps))
		}
	}
	for range ps.Trained() {
		return nil
	}
	return usagef("--freeze %s leaves nothing to train", strings.Join(patterns, ","))
}

func lastName(ps *graph.Params) (name string) {
	for p := range ps.All() {
		name = p.Name
	}
	return name
}

// depthOf places a parameter for the decay of learning rates by layer: the
// embeddings are layer 0, block i is layer i+1, and what follows the blocks comes
// last.
func depthOf(blocks int) func(name string) int {
	return func(name string) int {
		if strings.Contains(name, ".embeddings.") {
			return 0
		}
		_, rest, ok := strings.Cut(name, ".encoder.layer.")
		if !ok {
			return blocks + 1
		}
		number, _, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if err != nil {
			return blocks + 1
		}
		return i + 1
	}
}

// thousands prints n with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
