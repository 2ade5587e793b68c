package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"gorgonia.org/tensor"

	"tessera/train/data"
)

func newClipHeatmap() *cobra.Command {
	var (
		model, act, out string
		texts           []string
	)
	cmd := &cobra.Command{
		Use:   "heatmap IMAGE --model DIR --text TEXT -o FILE.png",
		Short: "Draw which parts of an image speak for a text",
		Long: `Draw which parts of an image speak for a text, as a heat map over the image: how
much the cosine of the two falls where a window of patches is covered with the
mean color of the image (arXiv:1311.2901, section 4.2). The window, a quarter of
the side, goes over all places. The colors of a map run from its own least value
to its own greatest; below zero, what is there speaks against the text. With
several texts there is a map for each.`,
		Example: `  tessera clip heatmap street.jpg --model clip-b32 --text "a red bus" -o bus.png
  tessera clip heatmap pets.jpg --model clip-b32 --text "a cat" --text "a dog" -o pets.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(texts) == 0:
				return usagef("--text is missing: what should the image speak for?")
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
			maps, whole, err := e.heatmaps(cmd.Context(), im, rows)
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
func (e *embedder) heatmaps(ctx context.Context, im *data.Image, texts []float32) (maps []heatMap, whole []float64, err error) {
	v, E := e.Config.Vision, e.ProjectionDim
	C, S, grid := v.Channels, v.ImageSize, v.Grid()
	size := C * S * S
	k := max(1, grid/4) // patches along the side of the window
	places := grid - k + 1
	n := 1 + places*places
	pixels := make([]float32, predictBatch*size) // the first image is whole, each other has a window
	original := make([]float32, size)
	if err := e.input.Normalize(original, im); err != nil {
		return nil, nil, err
	}
	var rows []float32
	for lo := 0; lo < n; lo += predictBatch {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		count := min(predictBatch, n-lo)
		for i := range count {
			covered := pixels[i*size:][:size]
			copy(covered, original)
			if w := lo + i - 1; w >= 0 {
				cover(covered, S, image.Rect(0, 0, k, k).Add(image.Pt(w%places, w/places)), v.PatchSize)
			}
		}
		out, err := e.Images(tensor.New(tensor.WithShape(count, C, S, S), tensor.WithBacking(pixels[:count*size:count*size])))
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, out...)
	}
	for text := range slices.Chunk(texts, E) {
		all := cosine(rows[:E], text)
		falls := make([]float64, 0, n-1) // by window
		for row := range slices.Chunk(rows[E:], E) {
			falls = append(falls, all-cosine(row, text))
		}
		m := heatMap{cells: spread(falls, places, k)}
		if err := m.stretch(); err != nil {
			return nil, nil, err
		}
		maps, whole = append(maps, m), append(whole, all)
	}
	return maps, whole, nil
}

// cover fills a rectangle of patches in an image (C, S, S) with its mean color.
func cover(pixels []float32, S int, r image.Rectangle, patch int) {
	for plane := range slices.Chunk(pixels, S*S) {
		mean := 0.0
		for _, v := range plane {
			mean += float64(v) / float64(len(plane))
		}
		for y := r.Min.Y * patch; y < r.Max.Y*patch; y++ {
			for x := r.Min.X * patch; x < r.Max.X*patch; x++ {
				plane[y*S+x] = float32(mean)
			}
		}
	}
}

// spread gives every patch of a grid the mean of the windows over it: of k×k
// patches, at places×places of the grid.
func spread(windows []float64, places, k int) []float64 {
	grid := places + k - 1
	cells, count := make([]float64, grid*grid), make([]float64, grid*grid)
	for i, v := range windows {
		for y := i / places; y < i/places+k; y++ {
			for x := i % places; x < i%places+k; x++ {
				cells[y*grid+x] += v
				count[y*grid+x]++
			}
		}
	}
	for i := range cells {
		cells[i] /= count[i]
	}
	return cells
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
