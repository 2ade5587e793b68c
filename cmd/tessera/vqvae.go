package main

import (
	"image"
	"image/color"
	"math"

	"github.com/spf13/cobra"

	"tessera/train/data"
	"tessera/vqvae"
)

func newVQVAE() *cobra.Command {
	cmd := group("vqvae", "Turn images into tokens and back with a VQ-VAE",
		"Turn images into tokens and back with a VQ-VAE (arXiv:1711.00937).")
	cmd.AddCommand(newVQVAETrain(), newVQVAEEval(), newVQVAEEncode(), newVQVAEDecode(), newVQVAEReconstruct())
	return cmd
}

// pixels is the preprocessing that a model's configuration implies: images are
// resized to a square and mapped to its range.
func pixels(c vqvae.Config) data.Preprocess {
	p := data.ViTPreprocess(c.ImageSize)
	p.DoConvertRGB = c.Channels == 3
	lo, span := c.PixelRange[0], c.PixelRange[1]-c.PixelRange[0]
	p.ImageMean, p.ImageStd = make([]float64, c.Channels), make([]float64, c.Channels)
	for i := range p.ImageMean {
		p.ImageMean[i], p.ImageStd[i] = -lo/span, 1/span
	}
	return p
}

// loadVQVAE reads the model in dir, whose images must be gray or RGB.
func loadVQVAE(dir string) (*vqvae.Model, error) {
	if dir == "" {
		return nil, usagef("--model is missing: name the folder of a model")
	}
	m, err := vqvae.Load(dir)
	if err != nil {
		return nil, err
	}
	return m, pixels(m.Config).Validate()
}

// picture turns a model's pixels (C, S, S) into an image.
func picture(c vqvae.Config, v []float32) image.Image {
	n := c.ImageSize * c.ImageSize
	im := data.NewImage(c.ImageSize, c.ImageSize, c.Channels)
	for i := range im.Pix {
		x := (float64(v[i%c.Channels*n+i/c.Channels]) - c.PixelRange[0]) / (c.PixelRange[1] - c.PixelRange[0])
		im.Pix[i] = uint8(math.Round(255 * min(1, max(0, x))))
	}
	return im.Std()
}

// drawGrid draws rows of pictures, enlarged if they are small, with gaps
// between them.
func drawGrid(rows [][]image.Image) (*canvas, error) {
	const gap = 2
	side := rows[0][0].Bounds().Dx()
	zoom := max(1, 96/side)
	step := side*zoom + gap
	c, err := newCanvas(len(rows[0])*step+gap, len(rows)*step+gap, 8)
	if err != nil {
		return nil, err
	}
	c.fill(c.Bounds(), color.White)
	for i, row := range rows {
		for j, im := range row {
			at := image.Pt(gap+j*step, gap+i*step)
			c.put(image.Rectangle{at, at.Add(image.Pt(side*zoom, side*zoom))}, im, im.Bounds(), false)
		}
	}
	return c, nil
}
