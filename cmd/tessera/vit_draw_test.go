package main

import (
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tessera/graph/safetensors"
	"tessera/train/data"
	"tessera/vit"
)

const photo = "../../testdata/preprocess/horse.png"

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPatchesDrawsEveryPatchInPlace(t *testing.T) {
	im := data.NewImage(4, 4, 3)
	for i := range 16 { // patch k of side 2 has red 50·k
		im.Pix[3*i] = uint8(50 * (i/8*2 + i%4/2))
	}
	c, err := drawPatches(im, 2, false)
	if err != nil {
		t.Fatal(err)
	}
	side, gap := 448, 44
	margin := 2 * gap
	for k := range 4 {
		x, y := margin+k%2*(side+gap)+side/2, margin+k/2*(side+gap)+side/2
		if got := c.RGBAAt(x, y); int(got.R) != 50*k || got.G != 0 {
			t.Errorf("patch %d has color %v, want red %d", k, got, 50*k)
		}
	}
	if got := c.RGBAAt(margin+side+gap/2, margin+10); got != ground {
		t.Errorf("the gap is %v, want %v", got, ground)
	}
}

func TestPatchesCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "p.png")
	text, err := execute(newViTPatches(), photo, "--model", tinyViT, "--numbers", "-o", out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "4×4 = 16 patches of 8×8 pixels, tokens of 192 values") {
		t.Errorf("printed %q", text)
	}
	if m := readPNG(t, out); m.Bounds().Dx() < 800 {
		t.Errorf("the picture is %v, want 800 pixels or more", m.Bounds())
	}
	wantErrors(t, newViTPatches, []badCall{
		{"no image", []string{"-o", out}, "accepts 1 arg", false},
		{"no output", []string{photo}, "--out is missing", true},
		{"patch does not divide", []string{photo, "--patch", "15", "-o", out}, "divisor", true},
		{"patch of nothing", []string{photo, "--patch", "0", "-o", out}, "--patch is 0", true},
		{"size of nothing", []string{photo, "--size", "0", "-o", out}, "--size is 0", true},
		{"huge size", []string{photo, "--size", "100000", "-o", out}, "--size is 100000", true},
		{"model and patch", []string{photo, "--model", tinyViT, "--patch", "4", "-o", out}, "leave out", true},
		{"missing image", []string{"missing.png", "-o", out}, "missing.png", false},
		{"missing model", []string{photo, "--model", "missing", "-o", out}, "missing", false},
		{"no such folder", []string{photo, "-o", filepath.Join(out, "x.png")}, "x.png", false},
	})
}

// twoTokens is a model of one patch, so that rollouts can be done by hand.
func twoTokens() *attention {
	return &attention{
		heads: 2, side: 1, best: candidate{Label: "x", Probability: 1},
		maps: [][]float32{
			{0.5, 0.5, 0.25, 0.75 /* head 1 */, 1, 0, 0.75, 0.25},
			{0.25, 0.75, 0, 1 /* head 1 */, 0.75, 0.25, 1, 0},
		},
	}
}

func TestAttendedAndRollout(t *testing.T) {
	a := twoTokens()
	near := func(got, want []float64) bool {
		return slices.EqualFunc(got, want, func(x, y float64) bool { return math.Abs(x-y) < 1e-6 })
	}
	if got := a.attended(a.query(), 0, 0); !near(got, []float64{0.5, 0.5}) {
		t.Errorf("layer 0, head 0: %v, want the first row", got)
	}
	if got := a.attended(a.query(), 0, meanHead); !near(got, []float64{0.75, 0.25}) {
		t.Errorf("layer 0, mean: %v, want (0.75, 0.25)", got)
	}
	// A₁ = (¾ ¼; ½ ½), A₂ = (½ ½; ½ ½); row 0 of (A₂+I)/2 is (¾, ¼), times
	// (A₁+I)/2 = (⅞ ⅛; ¼ ¾) it is (23/32, 9/32).
	if got := a.rollout(); !near(got, []float64{23. / 32, 9. / 32}) {
		t.Errorf("rollout %v, want (0.71875, 0.28125)", got)
	}
	a.mean = true
	if got := a.rollout(); !near(got, []float64{0.25*7/8 + 0.75/4, 0.25/8 + 0.75*0.75}) {
		t.Errorf("rollout of the patch %v", got)
	}
	m, err := patches([]float64{0.25, 0.125, 0.25, 0.375})
	if err != nil {
		t.Fatal(err)
	}
	if !near(m.cells, []float64{0, 0.5, 1}) || m.lo != 0.125 || m.hi != 0.375 {
		t.Errorf("heat %+v, want 0, ½, 1 between ⅛ and ⅜", m)
	}
	if m, err := patches([]float64{0.5, 0.25, 0.25}); err != nil || !near(m.cells, []float64{0, 0}) {
		t.Errorf("even attention gives %+v, %v, want zeros", m, err)
	}
	if _, err := patches([]float64{0, math.NaN()}); err == nil {
		t.Error("attention that is not a number was accepted")
	}
}

func TestAttendMatchesModel(t *testing.T) {
	c, err := loadClassifier(tinyViT, vit.LoadOptions{}, logger(newViTAttention()))
	if err != nil {
		t.Fatal(err)
	}
	im, err := data.DecodeFile(photo, 0)
	if err != nil {
		t.Fatal(err)
	}
	if im, err = c.input.Apply(im); err != nil {
		t.Fatal(err)
	}
	a, err := c.attend(im)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.maps) != 2 || len(a.maps[0]) != 3*17*17 {
		t.Fatalf("%d maps of %d values, want 2 of 867", len(a.maps), len(a.maps[0]))
	}
	for name, row := range map[string][]float64{"rollout": a.rollout(), "layer": a.attended(a.query(), 1, 2)} {
		sum := 0.0
		for _, p := range row {
			sum += p
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Errorf("%s sums to %g, want 1", name, sum)
		}
	}
	if slices.Equal(a.maps[0], a.maps[1]) {
		t.Error("both layers have the same attention")
	}
}

func TestAttentionCommand(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"rollout by default", nil, "class token, rollout through 2 layers"},
		{"one head", []string{"--layer", "0", "--head", "2"}, "layer 0, head 2"},
		{"mean of heads", []string{"--layer", "0"}, "layer 0, mean of heads"},
		{"last layer", []string{"--head", "1"}, "layer 1, head 1"},
		{"grid", []string{"--layer", "all", "--head", "all"}, "by layer and head"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "_")+".png")
			text, err := execute(newViTAttention(), append([]string{photo, "--model", tinyViT, "-o", out}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("printed %q, want %q in it", text, tt.want)
			}
			first := read(t, out)
			if _, err := execute(newViTAttention(), append([]string{photo, "--model", tinyViT, "-o", out}, tt.args...)...); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(first, read(t, out)) {
				t.Error("a second run drew something else")
			}
			readPNG(t, out)
		})
	}
	out := filepath.Join(dir, "x.png")
	model := []string{photo, "--model", tinyViT, "-o", out}
	wantErrors(t, newViTAttention, []badCall{
		{"no model", []string{photo, "-o", out}, "--model is missing", true},
		{"no output", []string{photo, "--model", tinyViT}, "--out is missing", true},
		{"layer out of range", append(model, "--layer", "2"), `--layer is "2", want 0 to 1 or all`, true},
		{"negative head", append(model, "--head", "-1"), `want 0 to 2, mean or all`, true},
		{"no number", append(model, "--layer", "last"), `"last"`, true},
		{"rollout of a layer", append(model, "--rollout", "--layer", "1"), "leave out", true},
		{"missing image", []string{"missing.png", "--model", tinyViT, "-o", out}, "missing.png", false},
	})
}

func TestOverlayIsHottestWhereHeatIs(t *testing.T) {
	colors, err := heatColors()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 256; i++ {
		luma := func(i int) int {
			return 299*int(colors[i].R) + 587*int(colors[i].G) + 114*int(colors[i].B)
		}
		if luma(i)+1000 < luma(i-1) {
			t.Fatalf("color %d, %v, is darker than the one before, %v", i, colors[i], colors[i-1])
		}
	}
	im := data.NewImage(20, 20, 3)
	m := overlay(im, []float64{0, 0, 0, 1}, 2, &colors)
	if cold, hot := m.RGBAAt(2, 2), m.RGBAAt(17, 17); cold.G >= hot.G || cold.R >= hot.R {
		t.Errorf("cold corner %v, hot corner %v", cold, hot)
	}
	for _, tt := range []struct {
		name       string
		x, y, want float64
	}{
		{"center of a cell", 0.75, 0.75, 1},
		{"edges repeat", 1, 1, 1},
		{"between cells", 0.5, 0.75, 0.5},
		{"between four", 0.5, 0.5, 0.25},
	} {
		if got := bilinear([]float64{0, 0, 0, 1}, 2, tt.x, tt.y); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestConvertCommand(t *testing.T) {
	dir := t.TempDir()
	timm, back := filepath.Join(dir, "timm"), filepath.Join(dir, "hf")
	if _, err := execute(newViTConvert(), tinyViT, timm, "--to", "timm"); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(newViTConvert(), timm, back, "--to", "hf"); err != nil {
		t.Fatal(err)
	}
	open := func(path string) *safetensors.File {
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	was, is := open(tinyViT), open(back)
	if !slices.Equal(was.Names(), is.Names()) {
		t.Fatalf("names %v after a round trip, want %v", is.Names(), was.Names())
	}
	for _, name := range was.Names() {
		x, err := was.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		y, err := is.Bytes(name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x, y) {
			t.Errorf("%s changed in a round trip", name)
		}
	}
	wantErrors(t, newViTConvert, []badCall{
		{"no layout", []string{tinyViT, back}, "--to is missing", true},
		{"unknown layout", []string{tinyViT, back, "--to", "tim"}, `did you mean "timm"`, true},
		{"one argument", []string{tinyViT, "--to", "hf"}, "accepts 2 arg", false},
		{"missing source", []string{"missing", back, "--to", "hf"}, "missing", false},
	})
}
