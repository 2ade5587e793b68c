package train_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/train"
)

// curves is a run of a classifier; without accuracy, of any other model.
func curves(steps int, accuracy bool) train.Curves {
	r := rand.New(rand.NewPCG(1, 2))
	at := func(step int, noise float64) train.CurvePoint {
		x := float64(step) / 100
		p := train.CurvePoint{
			Step:     step,
			Loss:     0.3 + 2*math.Exp(-x) + noise*r.NormFloat64(),
			Accuracy: math.NaN(),
		}
		if accuracy {
			p.Accuracy = min(1, max(0, 0.9-0.8*math.Exp(-x)+noise*r.NormFloat64()/2))
		}
		return p
	}
	c := train.Curves{Title: "ViT"}
	for step := range steps {
		c.Train = append(c.Train, at(step, 0.15))
		if (step+1)%100 == 0 {
			c.Validation = append(c.Validation, at(step, 0.02))
		}
	}
	return c
}

func draw(t *testing.T, c train.Curves) (image.Image, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "curves.png")
	if err := train.PlotCurves(path, c); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img, b
}

// count is the number of pixels of a colour.
func count(img image.Image, want color.RGBA) int {
	n := 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if color.RGBAModel.Convert(img.At(x, y)) == want {
				n++
			}
		}
	}
	return n
}

func TestPlotCurves(t *testing.T) {
	smoothed := color.RGBA{R: 0, G: 114, B: 178, A: 255}
	validation := color.RGBA{R: 213, G: 94, B: 0, A: 255}

	two, data := draw(t, curves(600, true))
	one, _ := draw(t, curves(600, false))
	if h1, h2 := one.Bounds().Dy(), two.Bounds().Dy(); h2 < 2*h1-1 || h2 > 2*h1+1 {
		t.Errorf("height %d with accuracy, %d without, want twice", h2, h1)
	}
	for name, c := range map[string]color.RGBA{"smoothed line": smoothed, "validation": validation} {
		if a, b := count(two, c), count(one, c); b < 100 || a < b+100 {
			t.Errorf("%s: %d pixels with accuracy, %d without", name, a, b)
		}
	}
	if _, again := draw(t, curves(600, true)); !bytes.Equal(data, again) {
		t.Error("the same curves give different files")
	}

	c := curves(600, false)
	c.Validation = nil
	if img, _ := draw(t, c); count(img, validation) != 0 {
		t.Error("validation is drawn where there is none")
	}
	c = curves(600, false)
	c.Train = nil
	if img, _ := draw(t, c); count(img, smoothed) != 0 {
		t.Error("training is drawn where there is none")
	}
}

func TestPlotCurvesOddInput(t *testing.T) {
	nan := math.NaN()
	for _, tt := range []struct {
		name string
		c    train.Curves
		want string // error
	}{
		{"one point", train.Curves{Train: []train.CurvePoint{{Step: 3, Loss: 1, Accuracy: 0.5}}}, ""},
		{"a flat line", train.Curves{Train: []train.CurvePoint{{0, 1, nan}, {1, 1, nan}}}, ""},
		{"a diverged run", train.Curves{Train: []train.CurvePoint{{0, 1, nan}, {1, math.Inf(1), nan}, {2, nan, nan}}}, ""},
		{"nothing", train.Curves{}, "no finite loss in 0 points"},
		{"nothing finite", train.Curves{Train: []train.CurvePoint{{0, nan, 1}}}, "no finite loss in 1 points"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "curves.png")
			err := train.PlotCurves(path, tt.c)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a file was written")
			}
		})
	}
	if err := train.PlotCurves(filepath.Join(t.TempDir(), "no", "curves.png"), curves(5, true)); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}
