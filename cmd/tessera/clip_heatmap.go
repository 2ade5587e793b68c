package main

import (
	"fmt"
	"image"
	"image/color"

	"github.com/spf13/cobra"

	"tessera/clip/embed"
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
			rows, err := e.embed.Texts(cmd.Context(), texts)
			if err != nil {
				return err
			}
			im, err := data.DecodeFile(args[0], 0)
			if err != nil {
				return err
			}
			if im, err = e.embed.Input.Apply(im); err != nil {
				return err
			}
			maps, err := e.embed.HeatMaps(cmd.Context(), im, rows)
			if err != nil {
				return err
			}
			picture, err := drawHeatmaps(im, texts, maps, e.Config.Vision.Grid())
			if err != nil {
				return err
			}
			if err := picture.save(out); err != nil {
				return err
			}
			for i, text := range texts {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %q has cosine %.3f with the image\n", out, text, maps[i].Cosine); err != nil {
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

// drawHeatmaps draws the image and the maps over it, each under its text.
func drawHeatmaps(im *data.Image, texts []string, maps []embed.HeatMap, grid int) (*canvas, error) {
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
		c.text(x, y-10, c.abridge(fmt.Sprintf("%s  (%.3f)", texts[i], m.Cosine), side+bar), color.Black, false)
		c.put(square.Add(image.Pt(x, y)), overlay(large, m.Cells, grid, &colors), square, false)
		left := x + side + 8
		for row := range side {
			c.fill(image.Rect(left, y+row, left+bar, y+row+1), colors[255*(side-1-row)/(side-1)])
		}
		c.text(left+bar+4, y+letters-4, fmt.Sprintf("%+.2f", m.Hi), color.Black, false)
		c.text(left+bar+4, y+side, fmt.Sprintf("%+.2f", m.Lo), color.Black, false)
	}
	return c, nil
}
