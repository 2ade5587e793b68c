package main

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/train/data"
)

func newClipHeatmap() *cobra.Command {
	var (
		model, act, out string
		texts           []string
	)
	cmd := &cobra.Command{
		Use:   "heatmap IMAGE --model DIR --text TEXT -o FILE.png",
		Short: "Draw which patches of an image speak for a text",
		Long: `Draw which patches of an image speak for a text, as a heat map over the image:
the cosine of the text with every patch, projected as if it were the whole image.
The colors of a map run from its own least value to its own greatest.

With several texts there is a map for each, and what a patch has in common with
all of them is taken off first: the maps then show where the texts differ.`,
		Example: `  tessera clip heatmap street.jpg --model clip-b32 --text "a red bus" -o bus.png
  tessera clip heatmap pets.jpg --model clip-b32 --text "a cat" --text "a dog" -o pets.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(texts) == 0:
				return usagef("--text is missing: what should the patches speak for?")
			case len(texts) > maxHeatmaps:
				return usagef("--text is given %d times, at most %d maps fit", len(texts), maxHeatmaps)
			case out == "":
				return usagef("--out is missing: name the PNG file to write")
			}
			e, err := loadEmbedder(model, act, logger(cmd))
			if err != nil {
				return err
			}
			defer e.Close()
			rows, err := e.embedTexts(texts)
			if err != nil {
				return err
			}
			im, err := data.DecodeFile(args[0], 0)
			if err != nil {
				return err
			}
			if im, err = e.input.Apply(im); err != nil {
				return err
			}
			maps, whole, err := e.heatmaps(im, rows)
			if err != nil {
				return err
			}
			picture, err := drawHeatmaps(im, texts, maps, whole, e.Config.Vision.Grid())
			if err != nil {
				return err
			}
			if err := picture.save(out); err != nil {
				return err
			}
			for i, text := range texts {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %q has cosine %.3f with the image\n", out, text, whole[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&model, "model", "", "folder or file of the model")
	f.StringArrayVar(&texts, "text", nil, "text; may be repeated")
	f.StringVarP(&out, "out", "o", "", "PNG file to write")
	bindHiddenAct(cmd, &act)
	return cmd
}

// maxHeatmaps keeps a picture to what a person can look at.
const maxHeatmaps = 12

// heatmaps gives a map of the patches for every text (rows of E), and the cosine
// of the text with the whole image.
func (e *embedder) heatmaps(im *data.Image, texts []float32) (maps []heatMap, whole []float64, err error) {
	v, E := e.Config.Vision, e.ProjectionDim
	C, S := v.Channels, v.ImageSize
	pixels := make([]float32, C*S*S)
	if err := e.input.Normalize(pixels, im); err != nil {
		return nil, nil, err
	}
	p, err := graph.Compile(func(b *graph.Builder) {
		x := b.Input("image", 1, C, S, S)
		b.Output("patches", e.Vision.Patchwise(b, x))
		b.Output("image", e.EncodeImage(b, x))
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	if err := p.Run(graph.Values{"image": tensor.New(tensor.WithShape(1, C, S, S), tensor.WithBacking(pixels))}); err != nil {
		return nil, nil, err
	}
	patches, N := p.Output("patches").Float32s(), v.Grid()*v.Grid()
	for text := range slices.Chunk(texts, E) {
		m := heatMap{cells: make([]float64, N)}
		for i := range m.cells {
			m.cells[i] = cosine(patches[i*E:][:E], text)
		}
		maps = append(maps, m)
		whole = append(whole, cosine(p.Output("image").Float32s(), text))
	}
	contrast(maps)
	for i := range maps {
		if err := maps[i].stretch(); err != nil {
			return nil, nil, err
		}
	}
	return maps, whole, nil
}

// contrast takes the mean of several maps off each.
func contrast(maps []heatMap) {
	if len(maps) < 2 {
		return
	}
	for cell := range maps[0].cells {
		mean := 0.0
		for _, m := range maps {
			mean += m.cells[cell] / float64(len(maps))
		}
		for _, m := range maps {
			m.cells[cell] -= mean
		}
	}
}

// stretch maps the least value, lo, to 0 and the greatest, hi, to 1.
func (m *heatMap) stretch() error {
	m.lo, m.hi = slices.Min(m.cells), slices.Max(m.cells)
	for i, v := range m.cells {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("the cosines are not numbers: are the weights of the model in order?")
		}
		if m.cells[i] = 0; m.hi > m.lo {
			m.cells[i] = (v - m.lo) / (m.hi - m.lo)
		}
	}
	return nil
}

// drawHeatmaps draws the image and the maps over it, each under its text.
func drawHeatmaps(im *data.Image, texts []string, maps []heatMap, whole []float64, grid int) (*canvas, error) {
	const margin, gap, bar, head, letters = 24, 24, 12, 44, 16
	colors, err := heatColors()
	if err != nil {
		return nil, err
	}
	side := 448
	if len(maps) > 1 {
		side = 320
	}
	columns := min(4, len(maps)+1)
	lines := (len(maps) + columns) / columns
	cell := side + gap + bar + 3*letters
	c, err := newCanvas(2*margin+columns*cell-gap, 2*margin+lines*(side+head), letters)
	if err != nil {
		return nil, err
	}
	large, err := data.Resize(im, side, side, data.Bicubic)
	if err != nil {
		return nil, err
	}
	square := image.Rect(0, 0, side, side)
	at := func(i int) (x, y int) { return margin + i%columns*cell, margin + i/columns*(side+head) + head - 8 }
	x, y := at(0)
	c.put(square.Add(image.Pt(x, y)), large.Std(), square, false)
	c.text(x, y-10, "image", color.Black, false)
	for i, m := range maps {
		x, y := at(i + 1)
		c.text(x, y-10, c.abridge(fmt.Sprintf("%s  (%.3f)", texts[i], whole[i]), side+bar), color.Black, false)
		c.put(square.Add(image.Pt(x, y)), overlay(large, m.cells, grid, &colors), square, false)
		left := x + side + 8
		for row := range side {
			c.fill(image.Rect(left, y+row, left+bar, y+row+1), colors[255*(side-1-row)/(side-1)])
		}
		c.text(left+bar+4, y+letters-4, fmt.Sprintf("%+.2f", m.hi), color.Black, false)
		c.text(left+bar+4, y+side, fmt.Sprintf("%+.2f", m.lo), color.Black, false)
	}
	return c, nil
}
