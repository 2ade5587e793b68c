package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/flamingo"
	"tessera/graph"
	"tessera/train/data"
	"tessera/vit"
)

// tower turns images into the tokens of their patches. It is never trained.
type tower struct {
	kind           string // model_type
	shown          flamingo.Shown
	input          data.Preprocess
	channels, side int
	patches, width int // of an image, and of a patch
	params         *graph.Params
	cache          *patchCache
	features       func(b *graph.Builder, images *graph.Node) *graph.Node
	save           func(dir string) error
}

// loadTower reads the ViT or CLIP in dir. Those of its tokens that are shown
// count as patches. What it makes of images is kept in the folder cache, unless
// that is empty.
func loadTower(dir, cache string, shown flamingo.Shown, log *slog.Logger) (*tower, error) {
	t, err := newTower(dir, shown, log)
	if err != nil {
		return nil, err
	}
	t.cache, err = openPatchCache(cache, t.params, t.patches*t.width)
	return t, err
}

func newTower(dir string, shown flamingo.Shown, log *slog.Logger) (*tower, error) {
	kind, err := modelType(dir)
	if err != nil {
		return nil, err
	}
	// part are the tokens shown of n, the class token being the first.
	part := func(n int) (first, end int) {
		switch shown {
		case flamingo.ShowAll:
			return 0, n
		case flamingo.ShowClass:
			return 0, 1
		}
		return 1, n
	}
	switch kind {
	case "vit":
		c, err := loadClassifier(dir, vit.LoadOptions{}, log)
		if err != nil {
			return nil, err
		}
		first, end := part(c.Tokens())
		return &tower{
			kind: kind, shown: shown, input: c.input, channels: c.Channels, side: c.ImageSize, patches: end - first, width: c.HiddenSize,
			params: c.Params(),
			features: func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Slice(c.Features(b, x), 1, first, end)
			},
			save: c.save,
		}, nil
	case "clip":
		e, err := loadEmbedder(dir, "", log)
		if err != nil {
			return nil, err
		}
		v := e.Config.Vision
		first, end := part(v.Tokens())
		return &tower{
			kind: kind, shown: shown, input: e.embed.Input, channels: v.Channels, side: v.ImageSize, patches: end - first, width: v.HiddenSize,
			params: e.Params(),
			features: func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Slice(e.Vision.Tokens(b, x), 1, first, end)
			},
			save: func(dir string) error {
				if err := e.Save(dir); err != nil {
					return err
				}
				if tokens, err := e.embed.Tokens(); err == nil { // images do without
					if err := tokens.Save(dir); err != nil {
						return err
					}
				}
				return e.embed.Input.Write(filepath.Join(dir, preprocessFile))
			},
		}, nil
	}
	return nil, errors.Errorf("%s: model_type %q is no vision tower, want vit or clip", dir, kind)
}

// seen is an image of a data set as the tower sees it.
type seen struct {
	flamingo.Image
	data.Example // without pixels
	index        int
}

// look shows the images of a data set to the tower, once each. Those that cannot
// be read are reported and left out; it is an error if none is left.
func (t *tower) look(ctx context.Context, ds data.Dataset, log *slog.Logger, progress func(done int) error) ([]seen, error) {
	const batch = 64
	size := t.channels * t.side * t.side
	g := &gaze{tower: t, pixels: make([]float32, 0, batch*size)}
	defer g.close()
	var out []seen
	for i := range ds.Len() {
		if err := ctx.Err(); err != nil {
			return nil, errors.Wrapf(err, "stopped after %d images", i)
		}
		if err := progress(i); err != nil {
			return nil, err
		}
		ex, err := ds.Example(i)
		pixels := g.pixels[len(g.pixels) : len(g.pixels)+size]
		if err == nil {
			var im *data.Image
			if im, err = t.input.Apply(ex.Image); err == nil {
				clear(pixels)
				err = t.input.Normalize(pixels, im)
			}
		}
		if err != nil {
			log.Warn("skipped", "image", ex.Name, "error", err.Error())
			continue
		}
		ex.Image = nil
		key := t.cache.key(pixels)
		out = append(out, seen{Example: ex, index: i, Image: flamingo.Image{Frames: 1, Patches: t.cache.known[key]}})
		if out[len(out)-1].Patches == nil {
			g.pixels = g.pixels[:len(g.pixels)+size]
			g.rows, g.keys = append(g.rows, len(out)-1), append(g.keys, key)
		}
		if len(g.rows) == batch {
			if err := g.flush(out); err != nil {
				return nil, err
			}
		}
	}
	if err := g.flush(out); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("none of the images could be read")
	}
	if err := t.cache.save(); err != nil {
		return nil, err
	}
	return out, progress(ds.Len())
}

// gaze is a batch of images to be shown to a tower.
type gaze struct {
	*tower
	pixels []float32 // of the batch
	rows   []int     // where the results go
	keys   []patchKey
	prog   *graph.Program
	n      int // images that prog takes
}

// flush shows the batch to the tower.
func (g *gaze) flush(out []seen) error {
	n := len(g.rows)
	if n == 0 {
		return nil
	}
	if n != g.n {
		if err := g.close(); err != nil {
			return err
		}
		prog, err := graph.Compile(func(b *graph.Builder) {
			b.Output("patches", g.features(b, b.Input("image", n, g.channels, g.side, g.side)))
		}, &graph.Options{Fixed: true})
		if err != nil {
			return err
		}
		g.prog, g.n = prog, n
	}
	x := tensor.New(tensor.WithShape(n, g.channels, g.side, g.side), tensor.WithBacking(slices.Clone(g.pixels)))
	if err := g.prog.Run(graph.Values{"image": x}); err != nil {
		return err
	}
	y := g.prog.Output("patches").Float32s()
	size := len(y) / n
	for i, row := range g.rows {
		out[row].Patches = slices.Clone(y[i*size : (i+1)*size])
		g.cache.add(g.keys[i], out[row].Patches)
	}
	g.pixels, g.rows, g.keys = g.pixels[:0], g.rows[:0], g.keys[:0]
	return nil
}

func (g *gaze) close() error {
	if g.prog == nil {
		return nil
	}
	prog := g.prog
	g.prog, g.n = nil, 0
	return prog.Close()
}

// files are images on disk as a data set without classes.
type files []string

func (f files) Len() int          { return len(f) }
func (f files) Classes() []string { return nil }
func (f files) Example(i int) (data.Example, error) {
	im, err := data.DecodeFile(f[i], 0)
	return data.Example{Image: im, Label: -1, Name: f[i]}, err
}
