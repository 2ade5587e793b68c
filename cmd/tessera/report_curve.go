package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"tessera/train"
)

// line is a quantity over the steps of a run.
type line struct {
	name   string
	values []float64
}

func losses(records []train.Record) []line {
	return []line{{"loss", each(records, func(r train.Record) float64 { return r.Loss })}}
}

func accuracies(records []train.Record) []line {
	return []line{
		{"the caption of an image", each(records, func(r train.Record) float64 { return r.Metrics["accuracy"] })},
		{"the image of a caption", each(records, func(r train.Record) float64 { return r.Metrics["text_accuracy"] })},
	}
}

func each(records []train.Record, of func(train.Record) float64) []float64 {
	var all []float64
	for _, r := range records {
		all = append(all, of(r))
	}
	return all
}

// Sides of a curve in its own units, and the room around it for marks.
const (
	curveWidth, curveHeight = 520, 240
	curveLeft, curveBelow   = 44, 30
	curveTop, curveRight    = 10, 12
)

// curve draws lines over steps from 1: as measured, pale, and their means over
// stretches of the run. Its colors are those of the page, by class.
func curve(name string, lines []line) template.HTML {
	steps, top := 1, 0.0
	for _, l := range lines {
		steps = max(steps, len(l.values))
		for _, v := range l.values {
			if !math.IsInf(v, 0) {
				top = max(top, v)
			}
		}
	}
	step := nice(top / 5)
	top = step * max(1, math.Ceil(top/step-1e-9))
	x := func(i float64) float64 {
		return curveLeft + i/float64(max(1, steps-1))*(curveWidth-curveLeft-curveRight)
	}
	y := func(v float64) float64 {
		return curveTop + (1-v/top)*(curveHeight-curveTop-curveBelow)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s over steps">`, curveWidth, curveHeight, template.HTMLEscapeString(name))
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`,
			curveLeft, curveWidth-curveRight, y(v), y(v), curveLeft-6, y(v)+4, v)
	}
	every := max(1, nice(float64(steps)/5))
	for s := every; s < float64(steps)+0.5; s += every {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`, x(s-1), curveHeight-curveBelow+18, s)
	}
	for i, l := range lines {
		path := func(class string, values []float64, at func(i int) float64) {
			var d []string
			for k, v := range values {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					d = append(d, fmt.Sprintf("%.1f,%.1f", x(at(k)), y(v)))
				}
			}
			fmt.Fprintf(&b, `<polyline class="%s line%d" points="%s"/>`, class, i, strings.Join(d, " "))
		}
		stretch := max(1, len(l.values)/60)
		var means []float64
		for part := range slices.Chunk(l.values, stretch) {
			sum := 0.0
			for _, v := range part {
				sum += v / float64(len(part))
			}
			means = append(means, sum)
		}
		if len(lines) == 1 {
			path("raw", l.values, func(k int) float64 { return float64(k) })
		}
		path("mean", means, func(k int) float64 {
			return min(float64(steps-1), float64(k*stretch)+float64(stretch-1)/2)
		})
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// nice is the least of 1, 2 or 5 times a power of ten that is not below v.
func nice(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= v*(1-1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}
