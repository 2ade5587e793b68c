package vit

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/graph"
)

// saved writes a fresh tiny model and returns its folder.
func saved(t *testing.T, edit func(*Config)) (string, *Model) {
	t.Helper()
	c := tiny()
	if edit != nil {
		edit(&c)
	}
	m, err := New(c, graph.Seed(7))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestConvertRoundTrips(t *testing.T) {
	for _, layout := range []string{LayoutTimm, LayoutJAX, LayoutHF} {
		for _, bias := range []bool{true, false} {
			dir, _ := saved(t, func(c *Config) { c.QKVBias = bias })
			there, back := t.TempDir(), t.TempDir()
			if err := Convert(dir, there, layout); err != nil {
				t.Fatal(layout, err)
			}
			if err := Convert(there, back, LayoutHF); err != nil {
				t.Fatal(layout, err)
			}
			want, err := os.ReadFile(filepath.Join(dir, torchFile))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(back, torchFile))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s, bias %t: weights changed on the way there and back", layout, bias)
			}
		}
	}
}

func TestLoadRoundTrip(t *testing.T) {
	dir, want := saved(t, nil)
	got, err := Load(dir, LoadOptions{Warn: func(s string) { t.Errorf("warned: %s", s) }})
	if err != nil {
		t.Fatal(err)
	}
	for p := range want.Params().All() {
		q := got.Params().Get(p.Name)
		if q == nil {
			t.Fatalf("%s is missing", p.Name)
		}
		for i, v := range p.Float32s() {
			if q.Float32s()[i] != v {
				t.Fatalf("%s[%d] is %g, want %g", p.Name, i, q.Float32s()[i], v)
			}
		}
	}
}

func TestLoadReplacesTheHead(t *testing.T) {
	dir, old := saved(t, nil)
	same, err := Load(dir, LoadOptions{Labels: []string{"x", "y", "z"}})
	if err != nil {
		t.Fatal(err)
	}
	if same.Label(1) != "y" || same.Head.Weight.Float32s()[0] != old.Head.Weight.Float32s()[0] {
		t.Error("other names of as many classes must keep the head")
	}
	more, err := Load(dir, LoadOptions{Labels: []string{"x", "y", "z", "w"}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := more.Head.Weight.Shape(); got[0] != 4 || more.Head.Weight.Float32s()[0] == old.Head.Weight.Float32s()[0] {
		t.Errorf("head of shape %v, want a fresh one of 4 classes", got)
	}
	if more.Class.Float32s()[0] != old.Class.Float32s()[0] {
		t.Error("the rest of the model must stay")
	}
}

func TestLoadErrors(t *testing.T) {
	other, _ := saved(t, nil)
	if err := os.WriteFile(filepath.Join(other, "config.json"), []byte(`{"model_type": "clip"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	truncated, _ := saved(t, nil)
	if err := os.Truncate(filepath.Join(truncated, torchFile), 100); err != nil {
		t.Fatal(err)
	}
	wider, _ := saved(t, nil)
	c := tiny()
	c.Intermediate = 8
	if err := c.Write(filepath.Join(wider, "config.json")); err != nil {
		t.Fatal(err)
	}
	bare, _ := saved(t, nil)
	if err := os.Remove(filepath.Join(bare, "config.json")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"no folder", filepath.Join(other, "nowhere"), "no such file"},
		{"another model", other, "model_type is clip, want vit"},
		{"truncated", truncated, torchFile},
		{"another shape", wider, "has shape (6), want (8)"},
		{"no configuration", bare, "config.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Load(tt.path, LoadOptions{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestLoadAtAnotherSize(t *testing.T) {
	dir, old := saved(t, nil)
	m, err := Load(dir, LoadOptions{ImageSize: 6})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Positions.Shape(); got[1] != 10 {
		t.Fatalf("positions of shape %v, want nine patches and the class", got)
	}
	for i, v := range old.Positions.Float32s()[:4] {
		if m.Positions.Float32s()[i] != v {
			t.Error("the class token's position changed")
		}
	}
	if _, err := Load(dir, LoadOptions{ImageSize: 7}); err == nil {
		t.Error("no error for a size that patches do not divide")
	}
}

func TestInterpolatePositions(t *testing.T) {
	constant := []float32{9, 2, 2, 2, 2}
	for i, v := range interpolatePositions(constant, 1, 2, 5) {
		if want := []float64{9, 2}[min(i, 1)]; math.Abs(float64(v)-want) > 1e-6 {
			t.Errorf("position %d of a constant is %g, want %g", i, v, want)
		}
	}
	// By torch.nn.functional.interpolate(mode="bicubic", align_corners=False).
	grid := []float32{7, 3, 1, 4, 1, 5, 9, 2, 6, 5}
	for side, want := range map[int][]float64{4: {3.318, 1.2671, 1.501, 3.8513, 1.4789, 2.3262, 5.1601, 7.9384, 0.8062, 3.8673, 7.1434, 8.2736, 1.7847, 4.7797, 6.0216, 4.6154}, 2: {2.247, 4.4801, 2.6513, 6.192}} {
		got := interpolatePositions(grid, 1, 3, side)
		if got[0] != 7 {
			t.Errorf("the class token's position is %g, want 7", got[0])
		}
		for i, v := range want {
			if math.Abs(float64(got[1+i])-v) > 1e-4 {
				t.Errorf("side %d, position %d is %g, want %g", side, i, got[1+i], v)
			}
		}
	}
}

func TestFLOPs(t *testing.T) {
	c, err := Preset("b16")
	if err != nil {
		t.Fatal(err)
	}
	if got := float64(c.FLOPs()) / 1e9; math.Abs(got-35.1) > 0.2 { // 17.5 G multiply-adds, as published
		t.Errorf("b16 takes %.2f GFLOP an image, want 35.1", got)
	}
}
