package train

import (
	"image/color"
	"io"
	"math"
	"strconv"

	"github.com/pkg/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"tessera/graph/safetensors"
)

// CurvePoint is what was measured at one step. A loss or accuracy that was not
// measured is NaN.
type CurvePoint struct {
	Step           int
	Loss, Accuracy float64
}

// Curves are the measurements of a run, in order of steps.
type Curves struct {
	Title      string
	Train      []CurvePoint // of batches
	Validation []CurvePoint
}

// PlotCurves draws a PNG file at path, whole or not at all: the loss over
// steps, as it is and smoothed, and below it the accuracy, if there is any. It
// is an error if there is no finite loss to draw.
func PlotCurves(path string, c Curves) error {
	var panels [][]*plot.Plot
	for _, q := range []quantity{
		{"loss", func(p CurvePoint) float64 { return p.Loss }},
		{"accuracy", func(p CurvePoint) float64 { return p.Accuracy }},
	} {
		training, validation := q.points(c.Train), q.points(c.Validation)
		if len(training)+len(validation) == 0 {
			if len(panels) == 0 {
				return errors.Errorf("train: plot %s: no finite loss in %d points", path, len(c.Train)+len(c.Validation))
			}
			continue
		}
		p, err := panel(q.name, training, validation)
		if err != nil {
			return errors.Wrapf(err, "train: plot %s", path)
		}
		panels = append(panels, []*plot.Plot{p})
	}
	lo, hi := panels[0][0].X.Min, panels[0][0].X.Max
	for _, row := range panels {
		lo, hi = min(lo, row[0].X.Min), max(hi, row[0].X.Max)
	}
	for _, row := range panels { // one above the other, so of one range
		row[0].X.Min, row[0].X.Max = lo, hi
	}
	panels[0][0].Title.Text = c.Title
	panels[len(panels)-1][0].X.Label.Text = "step"

	img := vgimg.NewWith(vgimg.UseWH(18*vg.Centimeter, vg.Length(len(panels))*8*vg.Centimeter), vgimg.UseDPI(120))
	tiles := draw.Tiles{
		Rows: len(panels), Cols: 1,
		PadTop: 10, PadBottom: 10, PadLeft: 10, PadRight: 10, PadY: 14,
	}
	for i, row := range plot.Align(panels, tiles, draw.New(img)) {
		panels[i][0].Draw(row[0])
	}
	return errors.Wrap(safetensors.WriteAtomic(path, func(w io.Writer) error {
		_, err := vgimg.PngCanvas{Canvas: img}.WriteTo(w)
		return err
	}), "train: plot")
}

// quantity is what one panel shows.
type quantity struct {
	name string
	of   func(CurvePoint) float64
}

// points are the finite values of the quantity.
func (q quantity) points(from []CurvePoint) plotter.XYs {
	var out plotter.XYs
	for _, p := range from {
		if y := q.of(p); !math.IsNaN(y) && !math.IsInf(y, 0) {
			out = append(out, plotter.XY{X: float64(p.Step), Y: y})
		}
	}
	return out
}

// The colours stay apart for the colour-blind (Okabe and Ito's palette).
var (
	paleBlue = color.RGBA{R: 178, G: 212, B: 232, A: 255}
	blue     = color.RGBA{R: 0, G: 114, B: 178, A: 255}
	orange   = color.RGBA{R: 213, G: 94, B: 0, A: 255}
	grey     = color.RGBA{R: 225, G: 225, B: 225, A: 255}
)

// panel draws training values pale, their smoothed line over them, and
// validation values as joined dots.
func panel(name string, training, validation plotter.XYs) (*plot.Plot, error) {
	p := plot.New()
	p.Y.Label.Text = name
	p.X.Tick.Marker = plot.TickerFunc(wholeSteps)
	p.Legend.Top = name == "loss" // away from where the curves end
	p.Legend.Padding = 2
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = grey, grey
	p.Add(grid)
	if len(training) > 0 {
		raw, err := plotter.NewLine(training)
		if err != nil {
			return nil, err
		}
		raw.Color = paleBlue
		line, err := plotter.NewLine(smooth(training))
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = blue, vg.Points(1.5)
		p.Add(raw, line)
		p.Legend.Add("training", raw)
		p.Legend.Add("training, smoothed", line)
	}
	if len(validation) > 0 {
		line, dots, err := plotter.NewLinePoints(validation)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = orange, vg.Points(1.5)
		dots.Color, dots.Shape, dots.Radius = orange, draw.CircleGlyph{}, vg.Points(2.5)
		p.Add(line, dots)
		p.Legend.Add("validation", line, dots)
	}
	return p, nil
}

// smooth is the exponential moving average over a fiftieth of the points,
// corrected for its start as Adam's moments are.
func smooth(points plotter.XYs) plotter.XYs {
	decay := 1 - 1/max(1, float64(len(points))/50)
	out := make(plotter.XYs, len(points))
	var sum, weight float64
	for i, p := range points {
		sum = decay*sum + (1-decay)*p.Y
		weight = decay*weight + (1 - decay)
		out[i] = plotter.XY{X: p.X, Y: sum / weight}
	}
	return out
}

// wholeSteps labels the usual marks as integers, and no other marks.
func wholeSteps(lo, hi float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(lo, hi)
	for i, t := range ticks {
		switch step := math.Round(t.Value); {
		case t.IsMinor():
		case math.Abs(t.Value-step) < 1e-6:
			ticks[i].Label = strconv.FormatFloat(step, 'f', 0, 64)
		default:
			ticks[i].Label = ""
		}
	}
	return ticks
}
