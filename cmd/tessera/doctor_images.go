package main

import (
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// colors are a mean and a deviation that published models subtract and divide
// by.
type colors struct {
	name      string
	mean, std []float64
}

var (
	clipColors     = colors{"CLIP's", data.CLIPPreprocess(1).ImageMean, data.CLIPPreprocess(1).ImageStd}
	halfColors     = colors{"0.5", []float64{0.5, 0.5, 0.5}, []float64{0.5, 0.5, 0.5}}
	imageNetColors = colors{"ImageNet's", []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}}
)

// of tells whether a preprocessing has these, up to rounding of what is printed.
func (c colors) of(mean, std []float64) bool {
	near := func(x, y float64) bool { return math.Abs(x-y) < 5e-3 }
	n := len(mean)
	return n > 0 && n <= 3 && len(std) == n && slices.EqualFunc(mean, c.mean[:n], near) && slices.EqualFunc(std, c.std[:n], near)
}

// preprocessing reads and checks what is the same for all models: that images
// fit, and that pixels lie between 0 and 1 before mean and deviation. It returns
// nil if there is nothing to look at.
func (e *examination) preprocessing(channels, size int) *data.Preprocess {
	const check = "preprocessing"
	p, err := data.ReadPreprocess(filepath.Join(e.dir, preprocessFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.skip(check, "no %s in the folder: images are prepared as for the published models", preprocessFile)
		return nil
	case err != nil:
		e.wrong(check, "", "%v", err)
		return nil
	}
	w, h := p.Output()
	switch {
	case w != size || h != size || p.Channels() != channels:
		e.wrong(check, "set size and crop_size to image_size, one mean and deviation a channel", "images of %d×%d pixels in %d channels, want %d×%d in %d", w, h, p.Channels(), size, size, channels)
	case !p.DoRescale || math.Abs(p.RescaleFactor*255-1) > 1e-3:
		e.wrong(check, "set do_rescale to true, rescale_factor to 1/255", "do_rescale is %t and rescale_factor %g, want pixels from 0 to 1", p.DoRescale, p.RescaleFactor)
	case !p.DoNormalize:
		e.wrong(check, "set do_normalize to true", "do_normalize is false, want mean and deviation applied")
	default:
		e.ok(check, "images of %d×%d pixels in %d channels, as the model reads them", w, h, channels)
		return &p
	}
	return nil
}

// shown prints a mean and a deviation.
func shown(p *data.Preprocess) string { return fmt.Sprintf("%.4g / %.4g", p.ImageMean, p.ImageStd) }

// swapped is an image (C, S, S) with its first patch and its last exchanged.
func swapped(image []float32, channels, size, patch int) []float32 {
	out := slices.Clone(image)
	shift := (size/patch - 1) * patch
	for c := range channels {
		for y := range patch {
			for x := range patch {
				i := (c*size+y)*size + x
				j := i + shift*size + shift
				out[i], out[j] = image[j], image[i]
			}
		}
	}
	return out
}

// sight checks that outputs depend on what an image shows, and on where. embed
// maps three images (3·C·S·S) to a row each.
func (e *examination) sight(channels, size, patch int, embed func(images []float32) ([][]float32, error)) {
	rng, n := e.rng(), channels*size*size
	first := normals(rng, n)
	images := slices.Concat(first, normals(rng, n), swapped(first, channels, size, patch))
	rows, err := embed(images)
	fault := ""
	if err == nil {
		fault = blindness(rows, size > patch)
	}
	e.judge("image", "the output depends on what is shown and on where", "look for lost patch weights or positions", fault, err)
}

// blindness tells what the rows of an image, of another one, and of the first
// with patches exchanged, do not depend on.
func blindness(rows [][]float32, patches bool) string {
	for i, row := range rows {
		for _, x := range row {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Sprintf("the output for random image %d is not finite", i)
			}
		}
	}
	// Sums in another order differ by rounding.
	least := 1e-5 * distance(rows[0], make([]float32, len(rows[0])))
	switch {
	case distance(rows[0], rows[1]) <= least:
		return "two random images give the same output"
	case patches && distance(rows[0], rows[2]) <= least:
		return "exchanging two patches leaves the output as it is: positions are not read"
	}
	return ""
}
