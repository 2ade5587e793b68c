package main

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"gorgonia.org/tensor"

	"tessera/graph/safetensors"
	"tessera/train/data"
	"tessera/vqvae"
)

func newVQVAEEncode() *cobra.Command {
	var (
		dir, out string
		n        int
		o        vqvaeData
	)
	cmd := &cobra.Command{
		Use:   "encode --model DIR FILE|FOLDER... | --data SPEC",
		Short: "Turn images into tokens",
		Long: `Turn image files, those in folders, or a part of a data set into tokens: a .npy
file of integers, images by rows by columns, if --out ends in .npy, and JSON lines
with name and tokens otherwise, on standard output without --out. A file that
cannot be read is reported and left out; the exit code is then 1.`,
		Example: `  tessera vqvae encode --model runs/tokens --out tokens.jsonl photo.jpg
  tessera vqvae encode --model runs/tokens --data shapes --split train --out tokens.npy`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := loadVQVAE(dir)
			if err != nil {
				return err
			}
			log := logger(cmd)
			ds, failed, err := o.images(args, m.Config, log)
			if err != nil {
				return err
			}
			if n > 0 {
				ds = data.Take(ds, n)
			}
			grids, bad, err := o.encode(cmd.Context(), m, ds, log)
			if err != nil {
				return err
			}
			if err := writeTokens(cmd.OutOrStdout(), out, grids, m.Grid()); err != nil {
				return err
			}
			if failed += bad; failed > 0 {
				return errors.Errorf("%d of the files or folders could not be read", failed)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	f.StringVarP(&out, "out", "o", "", "file to write, .npy or JSON lines")
	f.IntVar(&n, "n", 0, "images to take, evenly spaced; 0: all")
	o.bind(f)
	return cmd
}

// images are the files in args, or a part of a data set.
func (o *vqvaeData) images(args []string, c vqvae.Config, log *slog.Logger) (ds data.Dataset, failed int, err error) {
	if len(args) > 0 && o.spec != "" {
		return nil, 0, usagef("files and --data exclude each other")
	}
	if len(args) == 0 {
		if o.spec == "" {
			return nil, 0, usagef("name image files or folders, or a data set by --data")
		}
		ds, _, err = o.open(c)
		return ds, 0, err
	}
	if o.batch < 1 {
		return nil, 0, usagef("--batch is %d, want 1 or more", o.batch)
	}
	files, failed := imageFiles(args, log)
	return fileList(files), failed, nil
}

// fileList is a data set of image files.
type fileList []string

func (l fileList) Len() int          { return len(l) }
func (l fileList) Classes() []string { return nil }

func (l fileList) Example(i int) (data.Example, error) {
	im, err := data.DecodeFile(l[i], 0)
	return data.Example{Image: im, Name: l[i]}, err
}

// encode turns all images into tokens. Those that cannot be read are reported,
// counted and left out.
func (o *vqvaeData) encode(ctx context.Context, m *vqvae.Model, ds data.Dataset, log *slog.Logger) (grids []tokenGrid, failed int, err error) {
	t := m.Tokenizer()
	defer t.Close()
	p, size := pixels(m.Config), m.Channels*m.ImageSize*m.ImageSize
	values := make([]float32, o.batch*size)
	var names []string
	flush := func() error {
		n := len(names)
		if n == 0 {
			return nil
		}
		ids, err := t.Encode(tensor.New(tensor.WithShape(n, m.Channels, m.ImageSize, m.ImageSize), tensor.WithBacking(values[:n*size:n*size])))
		if err != nil {
			return err
		}
		for i, name := range names {
			grids = append(grids, newTokenGrid(name, ids[i*m.Tokens():(i+1)*m.Tokens()], m.Grid()))
		}
		names = names[:0]
		return nil
	}
	for i := range ds.Len() {
		if err := ctx.Err(); err != nil {
			return nil, failed, errors.Wrapf(err, "stopped after %d images", i)
		}
		ex, err := ds.Example(i)
		if err == nil {
			var im *data.Image
			if im, err = p.Apply(ex.Image); err == nil {
				err = p.Normalize(values[len(names)*size:(len(names)+1)*size], im)
			}
		}
		if err != nil {
			failed++
			log.Warn("skipped", "image", ex.Name, "error", err.Error())
			continue
		}
		if names = append(names, ex.Name); len(names) == o.batch {
			if err := flush(); err != nil {
				return nil, failed, err
			}
		}
	}
	return grids, failed, flush()
}

func newVQVAEDecode() *cobra.Command {
	var dir, out string
	cmd := &cobra.Command{
		Use:   "decode --model DIR --out DIR|FILE.png TOKENS",
		Short: "Draw the images of tokens",
		Long: `Draw the images of tokens as "tessera vqvae encode" writes them: all in one picture
if --out ends in .png, and otherwise in a folder, numbered from 0.`,
		Example: `  tessera vqvae decode --model runs/tokens --out images tokens.npy
  tessera vqvae decode --model runs/tokens --out all.png tokens.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("--out is missing: name a folder or a .png file")
			}
			m, err := loadVQVAE(dir)
			if err != nil {
				return err
			}
			grids, err := readTokens(args[0])
			if err != nil {
				return err
			}
			drawn, err := decodeGrids(cmd.Context(), m, grids)
			if err != nil {
				return errors.Wrap(err, args[0])
			}
			if err := saveImages(out, drawn); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s images\n", out, thousands(len(drawn)))
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	f.StringVarP(&out, "out", "o", "", "folder or .png file to write")
	return cmd
}

// decodeGrids draws one image for each grid.
func decodeGrids(ctx context.Context, m *vqvae.Model, grids []tokenGrid) ([]image.Image, error) {
	const batch = 16
	t := m.Tokenizer()
	defer t.Close()
	var drawn []image.Image
	size := m.Channels * m.ImageSize * m.ImageSize
	for lo := 0; lo < len(grids); lo += batch {
		if err := ctx.Err(); err != nil {
			return nil, errors.Wrapf(err, "stopped after %d images", lo)
		}
		var ids []int
		for i, g := range grids[lo:min(lo+batch, len(grids))] {
			flat, err := g.flat(m.Grid())
			if err != nil {
				return nil, errors.Wrapf(err, "image %d", lo+i)
			}
			ids = append(ids, flat...)
		}
		y, err := t.Decode(ids)
		if err != nil {
			return nil, errors.Wrapf(err, "images from %d on", lo)
		}
		for v := y.Float32s(); len(v) > 0; v = v[size:] {
			drawn = append(drawn, picture(m.Config, v[:size]))
		}
	}
	if len(drawn) == 0 {
		return nil, errors.New("there are no tokens")
	}
	return drawn, nil
}

// saveImages draws images in a square of rows, or writes them to a folder.
func saveImages(out string, images []image.Image) error {
	if strings.EqualFold(filepath.Ext(out), ".png") {
		across := int(math.Ceil(math.Sqrt(float64(len(images)))))
		var rows [][]image.Image
		for lo := 0; lo < len(images); lo += across {
			rows = append(rows, images[lo:min(lo+across, len(images))])
		}
		c, err := drawGrid(rows)
		if err != nil {
			return err
		}
		return c.save(out)
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return errors.Wrapf(err, "--out %s", out)
	}
	for i, im := range images {
		path := filepath.Join(out, fmt.Sprintf("%06d.png", i))
		if err := safetensors.WriteAtomic(path, func(w io.Writer) error { return errors.Wrap(png.Encode(w, im), path) }); err != nil {
			return err
		}
	}
	return nil
}
