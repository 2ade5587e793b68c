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
	input          data.Preprocess
	channels, side int
	patches, width int // of an image, and of a patch
	features       func(b *graph.Builder, images *graph.Node) *graph.Node
	save           func(dir string) error
}

// loadTower reads the ViT or CLIP in dir.
func loadTower(dir string, log *slog.Logger) (*tower, error) {
	kind, err := modelType(dir)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "vit":
		c, err := loadClassifier(dir, vit.LoadOptions{}, log)
		if err != nil {
			return nil, err
		}
		return &tower{
			kind: kind, input: c.input, channels: c.Channels, side: c.ImageSize, patches: c.Tokens() - 1, width: c.HiddenSize,
			features: func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Slice(c.Features(b, x), 1, 1, c.Tokens())
			},
			save: c.save,
		}, nil
	case "clip":
		e, err := loadEmbedder(dir, "", log)
		if err != nil {
			return nil, err
		}
		v := e.Config.Vision
		return &tower{
			kind: kind, input: e.input, channels: v.Channels, side: v.ImageSize, patches: v.Tokens() - 1, width: v.HiddenSize,
			features: e.Vision.Features,
			save: func(dir string) error {
				if err := e.Save(dir); err != nil {
					return err
				}
				if err := e.tokenizer(); err == nil { // images do without
					if err := e.tokens.Save(dir); err != nil {
						return err
					}
				}
				return e.input.Write(filepath.Join(dir, preprocessFile))
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
	pixels := make([]float32, batch*size)
	var out []seen
	done := 0 // of out
	var prog *graph.Program
	rows := 0 // of prog
	defer func() {
		if prog != nil {
			prog.Close()
		}
	}()
	flush := func() error {
		n := len(out) - done
		if n == 0 {
			return nil
		}
		if n != rows {
			if prog != nil {
				prog.Close()
			}
			var err error
			prog, err = graph.Compile(func(b *graph.Builder) {
				b.Output("patches", t.features(b, b.Input("image", n, t.channels, t.side, t.side)))
			}, &graph.Options{Fixed: true})
			if err != nil {
				return err
			}
			rows = n
		}
		x := tensor.New(tensor.WithShape(n, t.channels, t.side, t.side), tensor.WithBacking(pixels[:n*size:n*size]))
		if err := prog.Run(graph.Values{"image": x}); err != nil {
			return err
		}
		y := prog.Output("patches").Float32s()
		per := len(y) / n
		for i := range n {
			out[done+i].Image = flamingo.Image{Frames: 1, Patches: slices.Clone(y[i*per : (i+1)*per])}
		}
		done = len(out)
		return nil
	}
	for i := range ds.Len() {
		if err := ctx.Err(); err != nil {
			return nil, errors.Wrapf(err, "stopped after %d images", i)
		}
		if err := progress(i); err != nil {
			return nil, err
		}
		ex, err := ds.Example(i)
		if err == nil {
			at := (len(out) - done) * size
			var im *data.Image
			if im, err = t.input.Apply(ex.Image); err == nil {
				err = t.input.Normalize(pixels[at:at+size], im)
			}
		}
		if err != nil {
			log.Warn("skipped", "image", ex.Name, "error", err.Error())
			continue
		}
		ex.Image = nil
		out = append(out, seen{Example: ex, index: i})
		if len(out)-done == batch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("none of the images could be read")
	}
	return out, progress(ds.Len())
}

// files are images on disk as a data set without classes.
type files []string

func (f files) Len() int          { return len(f) }
func (f files) Classes() []string { return nil }
func (f files) Example(i int) (data.Example, error) {
	im, err := data.DecodeFile(f[i], 0)
	return data.Example{Image: im, Label: -1, Name: f[i]}, err
}
