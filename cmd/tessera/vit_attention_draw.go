package main

import (
	"fmt"
	"image"
	"image/color"

	"tessera/train/data"
)

// drawAttention draws the rollout or one map large beside the image, and more of
// them as a grid of layers by heads.
func drawAttention(im *data.Image, a *attention, layers, heads []int) (*canvas, error) {
	colors, err := heatColors()
	if err != nil {
		return nil, err
	}
	if len(layers)*len(heads) > 1 {
		return drawHeads(im, a, layers, heads, &colors)
	}
	const side, margin, bar = 480, 24, 16
	tokens := a.rollout
	if len(layers) == 1 {
		tokens = func() []float64 { return a.attended(a.query(), layers[0], heads[0]) }
	}
	heat, err := patches(tokens())
	if err != nil {
		return nil, err
	}
	c, err := newCanvas(2*side+6*margin+bar, side+3*margin, 16)
	if err != nil {
		return nil, err
	}
	large, err := data.Resize(im, side, side, data.Bicubic)
	if err != nil {
		return nil, err
	}
	top := 2 * margin
	c.text(margin, margin+10, c.abridge(a.caption(layers, heads), c.Rect.Dx()-2*margin), color.Black, false)
	at := func(x, w int) image.Rectangle { return image.Rect(x, top, x+w, top+side) }
	c.put(at(margin, side), large.Std(), image.Rect(0, 0, side, side), false)
	c.put(at(2*margin+side, side), overlay(large, heat.cells, a.side, &colors), image.Rect(0, 0, side, side), false)
	scale := at(3*margin+2*side, bar)
	for y := range side {
		c.fill(image.Rect(scale.Min.X, top+y, scale.Max.X, top+y+1), colors[255*(side-1-y)/(side-1)])
	}
	c.text(scale.Max.X+4, top+12, percent(heat.hi), color.Black, false)
	c.text(scale.Max.X+4, top+side, percent(heat.lo), color.Black, false)
	return c, nil
}

// percent writes a share in two digits.
func percent(x float64) string {
	if x >= 0.095 {
		return fmt.Sprintf("%.0f %%", 100*x)
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}

// drawHeads draws a grid of maps with a row for each layer and a column for each
// head.
func drawHeads(im *data.Image, a *attention, layers, heads []int, colors *[256]color.RGBA) (*canvas, error) {
	const margin, gap, names, letters = 16, 8, 72, 14
	// Captions need some width: a single column is drawn larger.
	side := min(240, max(112, 1280/len(heads)))
	w := margin + names + len(heads)*(side+gap) - gap + margin
	w = max(w, 480)
	top := 4 * margin
	c, err := newCanvas(w, top+len(layers)*(side+gap)-gap+margin, letters)
	if err != nil {
		return nil, err
	}
	small, err := data.Resize(im, side, side, data.Bicubic)
	if err != nil {
		return nil, err
	}
	c.text(margin, margin+8, c.abridge(a.caption(layers, heads), w-2*margin), color.Black, false)
	for col, h := range heads {
		c.text(margin+names+col*(side+gap)+side/2, top-gap, headName(h), color.Black, true)
	}
	for row, l := range layers {
		y := top + row*(side+gap)
		c.text(margin, y+side/2+letters/3, layerName(l), color.Black, false)
		for col, h := range heads {
			heat, err := patches(a.attended(a.query(), l, h))
			if err != nil {
				return nil, err
			}
			x := margin + names + col*(side+gap)
			c.put(image.Rect(x, y, x+side, y+side), overlay(small, heat.cells, a.side, colors), image.Rect(0, 0, side, side), false)
		}
	}
	return c, nil
}
