package main

import (
	"image"
	"image/color"
	"image/png"
	"io"
	"math"

	"github.com/pkg/errors"
	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot/palette/moreland"

	"tessera/graph/safetensors"
	"tessera/train/data"
)

// maxSide bounds the pictures that are drawn, in pixels.
const maxSide = 16_384

// canvas is a picture with one typeface.
type canvas struct {
	*image.RGBA
	face font.Face
}

// newCanvas returns a white picture of w×h pixels with letters of the given size.
func newCanvas(w, h int, letters float64) (*canvas, error) {
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return nil, errors.Errorf("a picture of %d×%d pixels cannot be drawn, the longest side is %d", w, h, maxSide)
	}
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, errors.Wrap(err, "font")
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: letters, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, errors.Wrap(err, "font")
	}
	c := &canvas{image.NewRGBA(image.Rect(0, 0, w, h)), face}
	c.fill(c.Bounds(), color.White)
	return c, nil
}

func (c *canvas) fill(r image.Rectangle, col color.Color) {
	draw.Draw(c, r, image.NewUniform(col), image.Point{}, draw.Src)
}

// put scales part of src to fill r: smoothly, or as hard-edged pixels.
func (c *canvas) put(r image.Rectangle, src image.Image, part image.Rectangle, smooth bool) {
	s := draw.Interpolator(draw.NearestNeighbor)
	if smooth {
		s = draw.CatmullRom
	}
	s.Scale(c, r, src, part, draw.Src, nil)
}

// width is the width of text in pixels.
func (c *canvas) width(text string) int { return font.MeasureString(c.face, text).Ceil() }

// abridge shortens text until it fits into width pixels.
func (c *canvas) abridge(text string, width int) string {
	r := []rune(text)
	for n := len(r); n > 0 && c.width(text) > width; n-- {
		text = string(r[:n-1]) + "…"
	}
	return text
}

// text writes with its baseline at y, from x on, or around x if centered.
func (c *canvas) text(x, y int, text string, col color.Color, centered bool) {
	if centered {
		x -= c.width(text) / 2
	}
	d := font.Drawer{Dst: c, Src: image.NewUniform(col), Face: c.face, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

// save writes the picture as a PNG file, whole or not at all.
func (c *canvas) save(path string) error {
	return safetensors.WriteAtomic(path, func(w io.Writer) error {
		return errors.Wrap(png.Encode(w, c.RGBA), path)
	})
}

// heatColors are 256 colors from black over red and yellow to white of evenly
// rising lightness, so that equal steps of a value look equal.
func heatColors() ([256]color.RGBA, error) {
	var out [256]color.RGBA
	m := moreland.ExtendedBlackBody()
	m.SetMin(0)
	m.SetMax(255)
	for i := range out {
		c, err := m.At(float64(i))
		if err != nil {
			return out, errors.Wrap(err, "color map")
		}
		out[i] = color.RGBAModel.Convert(c).(color.RGBA)
	}
	return out, nil
}

// overlay colors a gray copy of im, of any size, by heat in [0, 1] given for the
// side×side cells of a grid over it.
func overlay(im *data.Image, heat []float64, side int, colors *[256]color.RGBA) *image.RGBA {
	gray := im.Gray()
	out := image.NewRGBA(image.Rect(0, 0, im.W, im.H))
	for y := range im.H {
		for x := range im.W {
			h := bilinear(heat, side, (float64(x)+0.5)/float64(im.W), (float64(y)+0.5)/float64(im.H))
			c := colors[int(math.Round(255*min(1, max(0, h))))]
			// The photo stays visible everywhere, and the more the colder. It is
			// dimmed lest a white ground drown the colors.
			a := 0.45 + 0.25*h
			g := 0.75 * float64(gray.Pix[y*im.W+x])
			mix := func(v uint8) uint8 { return uint8(math.Round(a*float64(v) + (1-a)*g)) }
			out.SetRGBA(x, y, color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255})
		}
	}
	return out
}

// bilinear reads a side×side grid over the unit square at (x, y) between the
// centers of its cells.
func bilinear(grid []float64, side int, x, y float64) float64 {
	cell := func(v float64) (i, j int, t float64) {
		v = min(float64(side-1), max(0, v*float64(side)-0.5))
		i = int(v)
		return i, min(side-1, i+1), v - float64(i)
	}
	i, i1, t := cell(y)
	j, j1, u := cell(x)
	top := (1-u)*grid[i*side+j] + u*grid[i*side+j1]
	bottom := (1-u)*grid[i1*side+j] + u*grid[i1*side+j1]
	return (1-t)*top + t*bottom
}
