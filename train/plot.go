package train

import (
	"bytes"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// PlotCurves writes what [CurvesSVG] draws to the file at path, whole or not at
// all.
func PlotCurves(path, title string, records []Record) error {
	svg, err := CurvesSVG(title, records)
	if err != nil {
		return errors.Wrapf(err, "plot %s", path)
	}
	return errors.Wrap(safetensors.WriteAtomic(path, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(svg))
		return errors.WithStack(err)
	}), "plot")
}

// CurvesSVG draws a run, given by its records in order of steps, as an SVG
// picture: the loss over the steps, and beside it each of the metrics, as they
// are and smoothed, with what [Validate] measured as dots. The picture is for
// light and dark screens and stands in a file of its own or in an HTML page; an
// empty title is left out. It is an error if there is no finite loss to draw.
func CurvesSVG(title string, records []Record) ([]byte, error) {
	all := panels(records)
	if len(all) == 0 || all[0].name != "loss" {
		return nil, errors.Errorf("curves: no finite loss in %d records", len(records))
	}
	return drawPanels(title, all), nil
}

// point is a value at a step, or its place in a picture.
type point struct{ x, y float64 }

// panel is a quantity over the steps of a run.
type panel struct {
	name                 string
	training, validation []point
}

// panels are the quantities with finite values: the loss, if it has any, then
// the metrics by name.
func panels(records []Record) []panel {
	names := map[string]bool{}
	for _, r := range records {
		for name := range r.Metrics {
			names[strings.TrimPrefix(name, "val_")] = true
		}
	}
	delete(names, "loss")
	var all []panel
	for _, name := range append([]string{"loss"}, slices.Sorted(maps.Keys(names))...) {
		p := panel{name: name}
		for _, r := range records {
			if name == "loss" {
				p.training = add(p.training, r.Step, r.Loss, true)
			} else {
				v, ok := r.Metrics[name]
				p.training = add(p.training, r.Step, v, ok)
			}
			v, ok := r.Metrics["val_"+name]
			p.validation = add(p.validation, r.Step, v, ok)
		}
		if len(p.training)+len(p.validation) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// largest bounds what is drawn, so that differences are finite too.
const largest = 1e300

func add(points []point, step int, v float64, ok bool) []point {
	if !ok || !(math.Abs(v) < largest) {
		return points
	}
	return append(points, point{float64(step), v})
}

// smooth is the mean of the points around, a fiftieth of all, at up to a
// thousand places or so.
func smooth(points []point) []point {
	n := len(points)
	stride := max(1, n/1000)
	var out []point
	for i := (n - 1) % stride; i < n; i += stride {
		around := points[max(0, i-n/100):min(n, i+n/100+1)]
		var sum float64
		for _, p := range around {
			sum += p.y
		}
		out = append(out, point{points[i].x, sum / float64(len(around))})
	}
	return out
}

// thin keeps the lowest and the highest of the points in each column of pixels,
// in their order: a long run looks the same and takes no more room.
func thin(points []point) []point {
	var out []point
	for len(points) > 0 {
		n, low, high := 1, 0, 0
		for ; n < len(points) && math.Floor(points[n].x) == math.Floor(points[0].x); n++ {
			if points[n].y < points[low].y {
				low = n
			}
			if points[n].y > points[high].y {
				high = n
			}
		}
		out = append(out, points[min(low, high)])
		if low != high {
			out = append(out, points[max(low, high)])
		}
		points = points[n:]
	}
	return out
}

// scale is what the height of a panel stands for.
type scale struct {
	lo, hi float64 // logarithms to base 10 if log
	log    bool
	marks  []float64
}

// scale has room for all values of the panel. Losses that fall by orders of
// magnitude are shown by their logarithms.
func (p panel) scale() scale {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, q := range slices.Concat(p.training, p.validation) {
		lo, hi = min(lo, q.y), max(hi, q.y)
	}
	if strings.HasSuffix(p.name, "loss") && lo > 0 && lo < hi/50 {
		lo, hi = math.Log10(lo), math.Log10(hi)
		return scale{lo, hi, true, marks(lo, hi, max(1, nice((hi-lo)/6)))}
	}
	if lo > 0 && lo < hi/2 {
		lo = 0
	}
	size := max(math.Abs(lo), math.Abs(hi))
	if hi-lo < max(1e-5*size, 1/largest) { // all the same
		pad := size / 2
		if size < 1/largest {
			pad = 1
		}
		lo, hi = lo-pad, hi+pad
	}
	step := nice((hi - lo) / 6)
	lo, hi = step*math.Floor(lo/step+1e-9), step*math.Ceil(hi/step-1e-9)
	return scale{lo, hi, false, marks(lo, hi, step)}
}

// place is where v lies from 0, at the bottom, to 1.
func (s scale) place(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return (v - s.lo) / (s.hi - s.lo)
}

// marks are the multiples of step from lo to hi.
func marks(lo, hi, step float64) []float64 {
	var all []float64
	for k := math.Ceil(lo/step - 1e-9); k <= math.Floor(hi/step+1e-9); k++ {
		all = append(all, k*step+0) // no -0
	}
	return all
}

// nice is the least of 1, 2 or 5 times a power of ten that is not below v > 0.
func nice(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= v*(1-1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}
