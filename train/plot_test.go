package train_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tessera/train"
)

// logged is a run of a classifier; without accuracy, of any other model.
func logged(steps int, accuracy bool) []train.Record {
	r := rand.New(rand.NewPCG(1, 2))
	var all []train.Record
	for step := 1; step <= steps; step++ {
		x := float64(step) / 100
		at := func(noise float64) (loss, right float64) {
			return max(0.1, 0.3+2*math.Exp(-x)+noise*r.NormFloat64()), min(1, max(0, 0.9-0.8*math.Exp(-x)+noise*r.NormFloat64()/2))
		}
		loss, right := at(0.15)
		m := map[string]float64{}
		if accuracy {
			m["accuracy"] = right
		}
		if step%100 == 0 {
			loss, right := at(0.02)
			m["val_loss"] = loss
			if accuracy {
				m["val_accuracy"] = right
			}
		}
		all = append(all, train.Record{Step: step, Loss: loss, Metrics: m})
	}
	return all
}

// drawing is what a picture has.
type drawing struct {
	height float64
	texts  []string
	lines  map[string][][]float64 // by class: coordinates of lines of curves
	dots   int
}

// parse reads a picture, which must be XML, and wants all numbers finite and
// within it.
func parse(t *testing.T, svg []byte) drawing {
	t.Helper()
	d := drawing{lines: map[string][][]float64{}}
	dec := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return d
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Name.Local] = a.Value
		}
		number := func(s string) float64 {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || !(v >= 0 && v <= 2000) {
				t.Fatalf("%s has the number %q", e.Name.Local, s)
			}
			return v
		}
		for _, name := range []string{"x", "y", "x1", "x2", "y1", "y2", "cx", "cy"} {
			if s, ok := attr[name]; ok {
				number(s)
			}
		}
		switch e.Name.Local {
		case "svg":
			d.height = number(attr["height"])
		case "text":
			var s string
			if err := dec.DecodeElement(&s, &e); err != nil {
				t.Fatal(err)
			}
			d.texts = append(d.texts, s)
		case "circle":
			d.dots++
		case "polyline":
			var line []float64
			for _, s := range strings.FieldsFunc(attr["points"], func(r rune) bool { return r == ' ' || r == ',' }) {
				line = append(line, number(s))
			}
			d.lines[attr["class"]] = append(d.lines[attr["class"]], line)
		}
	}
}

func draw(t *testing.T, title string, records []train.Record) drawing {
	t.Helper()
	svg, err := train.CurvesSVG(title, records)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, svg)
}

func TestCurves(t *testing.T) {
	one, two := draw(t, "ViT", logged(600, false)), draw(t, "ViT", logged(600, true))
	if one.height != two.height {
		t.Errorf("two panels are %g high, one %g, want them side by side", two.height, one.height)
	}
	// One line of each kind is in the legend.
	for _, class := range []string{"raw", "smoothed", "held"} {
		if a, b := len(one.lines[class]), len(two.lines[class]); a != 2 || b != 3 {
			t.Errorf("%s: %d lines of a loss, %d with accuracy", class, a, b)
		}
	}
	if one.dots != 1+6 || two.dots != 1+12 {
		t.Errorf("%d dots of validation, %d with accuracy", one.dots, two.dots)
	}
	for _, want := range []string{"ViT", "loss", "accuracy", "step", "training", "training, smoothed", "validation", "0", "200", "600", "0.5", "2.5"} {
		if !slices.Contains(two.texts, want) {
			t.Errorf("no %q in %q", want, two.texts)
		}
	}

	training := logged(99, false)
	if d := draw(t, "", training); len(d.lines["held"]) != 0 || d.dots != 0 || slices.Contains(d.texts, "validation") {
		t.Error("validation is drawn where there is none")
	}
	validated := []train.Record{{Step: 1, Loss: math.NaN(), Metrics: map[string]float64{"val_loss": 1}}}
	if d := draw(t, "", validated); len(d.lines["raw"]) != 0 || slices.Contains(d.texts, "training") {
		t.Error("training is drawn where there is none")
	}

	// Losses that fall far are shown by their logarithms, accuracies are not.
	var far []train.Record
	for step := 1; step <= 5; step++ {
		v := math.Pow(10, float64(-step))
		far = append(far, train.Record{Step: step, Loss: v, Metrics: map[string]float64{"accuracy": v}})
	}
	d := draw(t, "", far)
	for _, want := range []string{"loss, log scale", "0.1", "0.01", "0.001", "0.0001", "1e-05", "accuracy", "0.02"} {
		if !slices.Contains(d.texts, want) {
			t.Errorf("no %q in %q", want, d.texts)
		}
	}
	line := d.lines["smoothed"][1]
	if a, b := line[3]-line[1], line[9]-line[7]; a < 40 || math.Abs(a-b) > 0.3 {
		t.Errorf("a tenth is %g pixels above and %g below", a, b)
	}

	// As many as other models have, in rows of up to three.
	many := []train.Record{{Step: 1, Loss: 1, Metrics: map[string]float64{"vq_loss": 2, "recon_loss": 3, "val_psnr": 20}}}
	four := draw(t, "ViT", many)
	many[0].Metrics["perplexity"] = 7
	five := draw(t, "ViT", many)
	if four.height != five.height || four.height < 1.5*one.height {
		t.Errorf("4 panels are %g high, 5 %g, 1 %g", four.height, five.height, one.height)
	}
	for _, want := range []string{"vq loss", "recon loss", "psnr", "perplexity"} {
		if !slices.Contains(five.texts, want) {
			t.Errorf("no %q in %q", want, five.texts)
		}
	}
}

// Lines are smoothed as a moving average is, and fill their panel.
func TestCurvesLines(t *testing.T) {
	var records []train.Record
	for step := 1; step <= 1000; step++ {
		records = append(records, train.Record{Step: step, Loss: 1 + float64(step%2)})
	}
	d := draw(t, "", records)
	spread := func(line []float64) float64 {
		lo, hi := math.Inf(1), math.Inf(-1)
		for i := len(line)/2 | 1; i < len(line); i += 2 {
			lo, hi = min(lo, line[i]), max(hi, line[i])
		}
		return hi - lo
	}
	raw, smoothed := d.lines["raw"][1], d.lines["smoothed"][1]
	if r, s := spread(raw), spread(smoothed); r < 150 || s > r/10 {
		t.Errorf("the line spreads over %g pixels, smoothed over %g", r, s)
	}
	if x0, x1 := raw[0], raw[len(raw)-2]; x0 > 60 || x1 < 930 {
		t.Errorf("the line goes from %g to %g of 960", x0, x1)
	}
}

// A long run takes no more room, and its spikes stay.
func TestCurvesOfALongRun(t *testing.T) {
	records := make([]train.Record, 100_000)
	for i := range records {
		records[i] = train.Record{Step: i + 1, Loss: 1 + float64(i%2)/10}
	}
	records[77_777].Loss = 2
	svg, err := train.CurvesSVG("", records)
	if err != nil {
		t.Fatal(err)
	}
	if len(svg) > 100_000 {
		t.Errorf("%d bytes", len(svg))
	}
	highest := math.Inf(1)
	for i, v := range parse(t, svg).lines["raw"][1] {
		if i%2 == 1 {
			highest = min(highest, v)
		}
	}
	if highest > 80 {
		t.Errorf("the spike reaches only y %g", highest)
	}
}

func TestCurvesOddInput(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	of := func(losses ...float64) (all []train.Record) {
		for i, v := range losses {
			all = append(all, train.Record{Step: i + 1, Loss: v})
		}
		return all
	}
	for _, tt := range []struct {
		name    string
		records []train.Record
		want    string // error
		points  int    // of the smoothed line
	}{
		{"one point", of(0.5), "", 2},
		{"step 0", []train.Record{{Loss: 1}}, "", 2},
		{"a flat line", of(1, 1), "", 2},
		{"nothing but zero", of(0, 0), "", 2},
		{"hardly a difference", of(1, math.Nextafter(1, 2)), "", 2},
		{"tiny", of(0, math.SmallestNonzeroFloat64), "", 2},
		{"below zero", of(-1, -3, -2), "", 3},
		{"huge", of(-9e299, 9e299, math.MaxFloat64), "", 2},
		{"a diverged run", of(1, inf, nan), "", 2},
		{"nothing", nil, "no finite loss in 0 records", 0},
		{"nothing finite", []train.Record{{Step: 1, Loss: nan, Metrics: map[string]float64{"accuracy": 1}}}, "no finite loss in 1 records", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "curves.svg")
			err := train.PlotCurves(path, "a < \"b\" & \x01", tt.records)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				d := parse(t, b)
				if d.texts[0] != "a < \"b\" & \uFFFD" {
					t.Errorf("title %q", d.texts[0])
				}
				if n := len(d.lines["smoothed"][1]) / 2; n != tt.points {
					t.Errorf("%d points, want %d", n, tt.points)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q and the file", err, tt.want)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a file was written")
			}
		})
	}
	if err := train.PlotCurves(filepath.Join(t.TempDir(), "no", "curves.svg"), "", of(1)); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}
