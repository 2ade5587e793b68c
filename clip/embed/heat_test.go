package embed

import (
	"image"
	"math"
	"slices"
	"testing"

	"tessera/train/data"
)

func TestSpread(t *testing.T) {
	// Windows of 2×2 at the four places of a 3×3 grid.
	got := spread([]float64{1, 2, 3, 4}, 2, 2)
	want := []float64{1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	pixels := []float32{0, 4, 8, 12, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}
	all := append(slices.Clone(pixels), pixels...)
	cover(all, 4, image.Rect(0, 0, 2, 1), 2)
	for _, plane := range [][]float32{all[:16], all[16:]} {
		if !slices.Equal(plane, []float32{2.25, 2.25, 2.25, 2.25, 2.25, 2.25, 2.25, 2.25, 1, 1, 1, 1, 2, 2, 2, 2}) {
			t.Errorf("covered: %v", plane)
		}
	}
	m := HeatMap{Cells: []float64{1, 1, 1}}
	if err := m.stretch(); err != nil || !slices.Equal(m.Cells, []float64{0, 0, 0}) {
		t.Errorf("a flat map: %v, error %v", m.Cells, err)
	}
	m = HeatMap{Cells: []float64{1, math.NaN()}}
	if err := m.stretch(); err == nil {
		t.Error("no number: no error")
	}
}

func TestHeatMaps(t *testing.T) {
	m, err := Open("../../testdata/clip/tiny", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	im, err := data.DecodeFile("../../testdata/preprocess/horse.png", 0)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := m.Texts(t.Context(), []string{"a horse", "a hat"})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := m.Images(t.Context(), []image.Image{im.Std()})
	if err != nil {
		t.Fatal(err)
	}
	if im, err = m.Input.Apply(im); err != nil {
		t.Fatal(err)
	}
	maps, err := m.HeatMaps(t.Context(), im, texts)
	if err != nil || len(maps) != 2 {
		t.Fatalf("%d maps, error %v", len(maps), err)
	}
	grid := m.CLIP.Config.Vision.Grid()
	for i, h := range maps {
		if want := cosine(rows[0], texts[i]); math.Abs(h.Cosine-want) > 1e-5 {
			t.Errorf("map %d: cosine %g, want %g", i, h.Cosine, want)
		}
		if len(h.Cells) != grid*grid || slices.Min(h.Cells) != 0 || slices.Max(h.Cells) != 1 || h.Lo >= h.Hi {
			t.Errorf("map %d: %d cells from %g to %g, for %g to %g", i, len(h.Cells), slices.Min(h.Cells), slices.Max(h.Cells), h.Lo, h.Hi)
		}
	}
}
