package embed

import (
	"context"
	"image"
	"math"
	"slices"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// A HeatMap tells where an image speaks for a text.
type HeatMap struct {
	Cells  []float64 // by patch, row by row: 0 at Lo, 1 at Hi
	Lo, Hi float64   // the least and the greatest fall of the cosine
	Cosine float64   // of the whole image with the text
}

// HeatMaps gives a map for each text (E): how much its cosine with the image falls
// where a window of patches, a quarter of the side, is covered with the image's
// mean color (arXiv:1311.2901, section 4.2). A patch has the mean of the windows
// over it; below zero, what is there speaks against the text. The image is one
// that m.Input has prepared.
func (m *Model) HeatMaps(ctx context.Context, im *data.Image, texts [][]float32) ([]HeatMap, error) {
	v, each := m.CLIP.Config.Vision, m.pixels()
	S, grid := v.ImageSize, v.Grid()
	k := max(1, grid/4) // patches along the side of the window
	places := grid - k + 1
	n := 1 + places*places
	original := make([]float32, each)
	if err := m.Input.Normalize(original, im); err != nil {
		return nil, err
	}
	pixels := make([]float32, imageBatch*each) // the first image is whole, each other has a window
	var rows []float32
	for lo := 0; lo < n; lo += imageBatch {
		count := min(imageBatch, n-lo)
		for i := range count {
			covered := pixels[i*each:][:each]
			copy(covered, original)
			if w := lo + i - 1; w >= 0 {
				cover(covered, S, image.Rect(0, 0, k, k).Add(image.Pt(w%places, w/places)), v.PatchSize)
			}
		}
		part, err := m.embed(ctx, pixels[:count*each])
		if err != nil {
			return nil, err
		}
		rows = append(rows, part...)
	}
	E := m.Dim()
	maps := make([]HeatMap, len(texts))
	for i, text := range texts {
		h := &maps[i]
		h.Cosine = cosine(rows[:E], text)
		falls := make([]float64, 0, n-1) // by window
		for row := range slices.Chunk(rows[E:], E) {
			falls = append(falls, h.Cosine-cosine(row, text))
		}
		h.Cells = spread(falls, places, k)
		if err := h.stretch(); err != nil {
			return nil, err
		}
	}
	return maps, nil
}

// cosine is the inner product of rows of unit length.
func cosine(a, b []float32) float64 {
	dot := 0.0
	for i, v := range a {
		dot += float64(v) * float64(b[i])
	}
	return dot
}

// cover fills a rectangle of patches in an image (C, S, S) with its mean color.
func cover(pixels []float32, S int, r image.Rectangle, patch int) {
	for plane := range slices.Chunk(pixels, S*S) {
		mean := 0.0
		for _, v := range plane {
			mean += float64(v) / float64(len(plane))
		}
		for y := r.Min.Y * patch; y < r.Max.Y*patch; y++ {
			for x := r.Min.X * patch; x < r.Max.X*patch; x++ {
				plane[y*S+x] = float32(mean)
			}
		}
	}
}

// spread gives every patch of a grid the mean of the windows over it: of k×k
// patches, at places×places of the grid.
func spread(windows []float64, places, k int) []float64 {
	grid := places + k - 1
	cells, count := make([]float64, grid*grid), make([]float64, grid*grid)
	for i, v := range windows {
		for y := i / places; y < i/places+k; y++ {
			for x := i % places; x < i%places+k; x++ {
				cells[y*grid+x] += v
				count[y*grid+x]++
			}
		}
	}
	for i := range cells {
		cells[i] /= count[i]
	}
	return cells
}

// stretch maps the least value to 0 and the greatest to 1.
func (m *HeatMap) stretch() error {
	m.Lo, m.Hi = slices.Min(m.Cells), slices.Max(m.Cells)
	for i, v := range m.Cells {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("the cosines are not numbers: are the weights of the model in order?")
		}
		if m.Cells[i] = 0; m.Hi > m.Lo {
			m.Cells[i] = (v - m.Lo) / (m.Hi - m.Lo)
		}
	}
	return nil
}
