package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
	"tessera/train"
	"tessera/train/data"
)

//go:embed report.html
var reportPage string

// report writes what was found as one HTML file that needs no other.
func (x *exploration) report(ctx context.Context, path string, commands []suggestion) error {
	records, err := train.ReadMetrics(filepath.Join(x.out, "metrics.jsonl"))
	if err != nil {
		return err
	}
	curves, err := train.CurvesSVG("", records)
	if err != nil {
		return err
	}
	heat, err := x.heat(ctx)
	if err != nil {
		return err
	}
	page, err := template.New("report").Funcs(template.FuncMap{
		"png":       dataURL,
		"draw":      func(s data.ShapeSpec) (template.URL, error) { return dataURL(pictured(s, x.held.Size)) },
		"percent":   atLeast,
		"thousands": thousands,
	}).Parse(reportPage)
	if err != nil {
		return errors.Wrap(err, "report")
	}
	all := len(x.texts.classes)
	return safetensors.WriteAtomic(path, func(w io.Writer) error {
		return errors.Wrap(page.Execute(w, map[string]any{
			"Model": x.out, "Batch": x.batch, "Images": x.parts.train.Len(), "Epochs": x.epochs, "Steps": x.fit.trainer.Done(), "Seed": x.seed,
			"Params": x.Params().Size(), "Size": x.held.Size, "Patches": x.Config.Vision.Grid(),
			"Classes": all, "Chance": 1 / float64(all), "Held": x.heldAs, "HeldPart": x.held, "TestPart": x.test,
			"Training": x.sample(8), "Curves": template.HTML(curves),
			"Confusion": x.confusion(), "Errors": x.errors(), "Colors": data.ShapeColors(), "Kinds": kindSigns(),
			"Right": x.judged(true, 8), "Wrong": x.judged(false, 8),
			"Recall": x.toImage, "RecallAt1": x.toImage.rate(x.toImage.At1), "Searched": x.held.N + x.test.N, "Searches": x.searches, "Heat": heat, "Commands": commands,
		}), "report")
	})
}

// atLeast is a share in words. It is cut, not rounded: 100 % is all.
func atLeast(v float64) string { return fmt.Sprintf("%.1f %%", math.Floor(1000*v+1e-9)/10) }

// dataURL is a picture as part of a page.
func dataURL(im image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		return "", errors.WithStack(err)
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

// kindSigns are the shapes as letters.
func kindSigns() []map[string]string {
	sign := map[string]string{"circle": "●", "square": "■", "triangle": "▲", "cross": "✚", "star": "★"}
	var all []map[string]string
	for _, k := range data.ShapeKinds() {
		all = append(all, map[string]string{"Name": k, "Sign": sign[k]})
	}
	return all
}

// sample is what training begins with.
func (x *exploration) sample(n int) []data.ShapeSpec {
	shapes := x.parts.train.(data.Shapes)
	var all []data.ShapeSpec
	for i := range min(n, shapes.N) {
		all = append(all, shapes.Spec(i))
	}
	return all
}

// judgement is an image with what it was taken for.
type judgement struct {
	Spec  data.ShapeSpec
	Guess candidate
}

// judged are images of combinations held out, taken for what they are or not.
func (x *exploration) judged(right bool, n int) []judgement {
	var all []judgement
	for i := 0; i < x.held.N && len(all) < n; i++ {
		if x.held.is(i) == right {
			all = append(all, judgement{x.held.Spec(i), x.held.guesses[i]})
		}
	}
	return all
}

// confusion is a table of colors by shapes for each combination held out: which
// share of its images was taken for what.
type confusion struct {
	Name     string
	Images   int
	Accuracy float64
	Rows     [][]share
}

type share struct {
	Name  string
	Share float64
	True  bool // what the images show
}

// Text is the share in percent, nothing for less than half of one.
func (s share) Text() string {
	if s.Share < 0.005 {
		return ""
	}
	return fmt.Sprintf("%.0f", 100*s.Share)
}

// Opacity is how much of its color a cell has: rare answers stay visible.
func (s share) Opacity() float64 { return 0.75 * math.Sqrt(s.Share) }

func (x *exploration) confusion() []confusion {
	var all []confusion
	for _, p := range x.heldAs {
		c := confusion{Name: p.String()}
		count := map[string]int{}
		for i, g := range x.held.guesses {
			if x.held.Spec(i).Pair == p {
				c.Images++
				count[g.Label]++
			}
		}
		of := func(name string) float64 { return float64(count[name]) / float64(max(1, c.Images)) }
		c.Accuracy = of(c.Name)
		for color := range data.ShapeColors() {
			var row []share
			for kind := range data.ShapeKinds() {
				name := data.Pair{Color: color, Kind: kind}.String()
				row = append(row, share{name, of(name), name == c.Name})
			}
			c.Rows = append(c.Rows, row)
		}
		all = append(all, c)
	}
	return all
}

// errors counts what is wrong about the wrong answers.
func (x *exploration) errors() (e struct{ All, Color, Kind int }) {
	for i, g := range x.held.guesses {
		if x.held.is(i) {
			continue
		}
		e.All++
		color, kind, _ := strings.Cut(x.held.Spec(i).Pair.String(), " ")
		if !strings.HasPrefix(g.Label, color+" ") {
			e.Color++
		}
		if !strings.HasSuffix(g.Label, " "+kind) {
			e.Kind++
		}
	}
	return e
}
