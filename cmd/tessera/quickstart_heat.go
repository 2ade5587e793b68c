package main

import (
	"context"
	"image"
	"slices"
	"strings"

	"tessera/clip/embed"
	"tessera/train/data"
)

// heatShown is an image with what speaks for words of its caption.
type heatShown struct {
	Spec data.ShapeSpec
	Maps []wordMap
}

type wordMap struct {
	Word    string
	Picture image.Image
}

const (
	imagesHeated = 4
	heatSide     = 160 // pixels
)

// heat draws which patches speak for the color, the shape, and the place that a
// caption tells.
func (x *exploration) heat(ctx context.Context) ([]heatShown, error) {
	colors, err := heatColors()
	if err != nil {
		return nil, err
	}
	var all []heatShown
	examples := x.examples()
	for _, spec := range examples[:min(imagesHeated, len(examples))] {
		im, _ := spec.Draw(x.held.Size)
		if im, err = x.embed.Input.Apply(im); err != nil {
			return nil, err
		}
		var words []string
		var directions [][]float32
		for _, w := range contrasts(spec) {
			d, err := x.word(ctx, w)
			if err != nil {
				return nil, err
			}
			words, directions = append(words, w.word), append(directions, d)
		}
		maps, err := x.embed.HeatMaps(ctx, im, directions)
		if err != nil {
			return nil, err
		}
		large, err := data.Resize(im, heatSide, heatSide, data.Bicubic)
		if err != nil {
			return nil, err
		}
		h := heatShown{Spec: spec}
		for i, m := range maps {
			h.Maps = append(h.Maps, wordMap{words[i], overlay(large, speaking(m), x.Config.Vision.Grid(), &colors)})
		}
		all = append(all, h)
	}
	return all, nil
}

// speaking are the cells that speak for a text, from 0 for none or against it.
func speaking(m embed.HeatMap) []float64 {
	cells := make([]float64, len(m.Cells))
	for i, c := range m.Cells {
		if m.Hi > 0 {
			cells[i] = max(0, m.Lo+c*(m.Hi-m.Lo)) / m.Hi
		}
	}
	return cells
}

// contrast is a word in a caption, and captions with other words in its place.
type contrast struct {
	word, caption string
	others        []string
}

// contrasts are the words of a caption that the image is to be asked about.
func contrasts(spec data.ShapeSpec) []contrast {
	caption := spec.Caption()
	var all []contrast
	swap := func(word string, n int, other func(s *data.ShapeSpec, i int)) {
		c := contrast{word: word, caption: caption}
		for i := range n {
			s := spec
			other(&s, i)
			if text := s.Caption(); text != caption {
				c.others = append(c.others, text)
			}
		}
		all = append(all, c)
	}
	color, kind, _ := strings.Cut(spec.Pair.String(), " ")
	_, place, _ := strings.Cut(caption, spec.Pair.String()+" ")
	swap(color, len(data.ShapeColors()), func(s *data.ShapeSpec, i int) { s.Color = i })
	swap(kind, len(data.ShapeKinds()), func(s *data.ShapeSpec, i int) { s.Kind = i })
	swap(place, 9, func(s *data.ShapeSpec, i int) { s.Row, s.Col = i/3, i%3 })
	return all
}

// word is the direction of the space that a word stands for: from the mean of
// captions with other words in its place to the caption with it.
func (x *exploration) word(ctx context.Context, c contrast) ([]float32, error) {
	rows, err := x.embedTexts(ctx, append([]string{c.caption}, c.others...))
	if err != nil {
		return nil, err
	}
	E := x.embed.Dim()
	d := slices.Clone(rows[:E])
	for i, v := range rows[E:] {
		d[i%E] -= v / float32(len(c.others))
	}
	return d, nil
}
