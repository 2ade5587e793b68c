package data

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The fixtures are what Pillow 9.4 made of the images beside them: in the name
// recipe.image.size.png, vit is a bilinear resize and clip a bicubic one of the
// shorter edge with a center crop.
func TestApplyMatchesPillow(t *testing.T) {
	const dir = "../../testdata/preprocess"
	fixtures, err := filepath.Glob(filepath.Join(dir, "*.*.*.png"))
	if err != nil || len(fixtures) != 16 {
		t.Fatalf("%d fixtures, want 16 (%v)", len(fixtures), err)
	}
	for _, path := range fixtures {
		parts := strings.Split(filepath.Base(path), ".")
		t.Run(strings.Join(parts[:3], "."), func(t *testing.T) {
			size, err := strconv.Atoi(parts[2])
			if err != nil {
				t.Fatal(err)
			}
			p := ViTPreprocess(size)
			if parts[0] == "clip" {
				p = CLIPPreprocess(size)
			}
			want, err := DecodeFile(path, 0)
			if err != nil {
				t.Fatal(err)
			}
			im, err := DecodeFile(filepath.Join(dir, parts[1]+".png"), 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Apply(im)
			if err != nil {
				t.Fatal(err)
			}
			if got.W != size || got.H != size || got.C != 3 {
				t.Fatalf("output is %d×%d×%d", got.W, got.H, got.C)
			}
			if !same(got, want.RGB()) {
				t.Error("pixels differ from Pillow's")
			}
		})
	}
}

func TestApplySizes(t *testing.T) {
	vit, clip := ViTPreprocess(24), CLIPPreprocess(24)
	gray := vit
	gray.DoConvertRGB, gray.ImageMean, gray.ImageStd = false, []float64{0.5}, []float64{0.5}
	oblong := vit
	oblong.Size = Size{Height: 8, Width: 30}
	for _, tt := range []struct {
		name    string
		p       Preprocess
		im      *Image
		w, h, c int
	}{
		{"wide to square", vit, noise(50, 20, 3, 1), 24, 24, 3},
		{"gray becomes RGB", vit, noise(50, 20, 1, 1), 24, 24, 3},
		{"RGB becomes gray", gray, noise(50, 20, 3, 1), 24, 24, 1},
		{"oblong output", oblong, noise(50, 20, 3, 1), 30, 8, 3},
		{"one pixel", clip, noise(1, 1, 3, 1), 24, 24, 3},
		{"odd margin", clip, noise(25, 24, 3, 1), 24, 24, 3},
		{"very wide", clip, noise(300_000, 1, 1, 1), 24, 24, 3},
		{"very tall", clip, noise(1, 300_000, 1, 1), 24, 24, 3},
		{"timm", TimmPreprocess(24, 0.9), noise(40, 60, 3, 1), 24, 24, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := tt.p.Apply(tt.im)
			if err != nil {
				t.Fatal(err)
			}
			if err := out.Validate(); err != nil || out.W != tt.w || out.H != tt.h || out.C != tt.c {
				t.Errorf("output is %d×%d×%d, want %d×%d×%d (%v)", out.W, out.H, out.C, tt.w, tt.h, tt.c, err)
			}
			if w, h := tt.p.Output(); w != tt.w || h != tt.h || tt.p.Channels() != tt.c {
				t.Errorf("announced as %d×%d×%d", w, h, tt.p.Channels())
			}
		})
	}
}

func TestApplyCenterCrop(t *testing.T) {
	row := &Image{W: 5, H: 1, C: 1, Pix: []uint8{1, 2, 3, 4, 5}}
	for _, tt := range []struct {
		name string
		w, h int
		want []uint8
	}{
		{"even margin", 3, 1, []uint8{2, 3, 4}},
		{"odd margin is halved downwards", 2, 1, []uint8{2, 3}},
		{"padding, one side", 6, 1, []uint8{0, 1, 2, 3, 4, 5}},
		{"padding below and above, cropping beside", 1, 3, []uint8{0, 3, 0}},
	} {
		p := ViTPreprocess(1)
		p.DoConvertRGB, p.ImageMean, p.ImageStd = false, []float64{0.5}, []float64{0.5}
		p.DoResize, p.DoCenterCrop, p.CropSize = false, true, Size{Height: tt.h, Width: tt.w}
		got, err := p.Apply(row)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if want := (&Image{W: tt.w, H: tt.h, C: 1, Pix: tt.want}); !same(got, want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	fixed := ViTPreprocess(8)
	fixed.DoResize = false
	broken := ViTPreprocess(8)
	broken.Resample = 9
	for _, tt := range []struct {
		name string
		p    Preprocess
		im   *Image
		want string
	}{
		{"another size", fixed, noise(9, 8, 3, 1), "image has 9×8 pixels, want 8×8"},
		{"empty", ViTPreprocess(8), NewImage(0, 0, 3), "empty"},
		{"nil", ViTPreprocess(8), nil, "no image"},
		{"invalid", broken, noise(8, 8, 3, 1), "resample is 9"},
	} {
		if _, err := tt.p.Apply(tt.im); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if im, err := fixed.Apply(noise(8, 8, 3, 1)); err != nil || !same(im, noise(8, 8, 3, 1)) {
		t.Errorf("image of the right size: %v", err)
	}
}

func TestNormalize(t *testing.T) {
	im := &Image{W: 2, H: 1, C: 3, Pix: []uint8{0, 0, 0, 255, 255, 255}}
	raw := ViTPreprocess(2)
	raw.DoRescale, raw.DoNormalize = false, false
	scaled := raw
	scaled.DoRescale = true
	for _, tt := range []struct {
		name string
		p    Preprocess
		want []float64 // (C, H, W)
	}{
		{"ViT", ViTPreprocess(2), []float64{-1, 1, -1, 1, -1, 1}},
		{"CLIP", CLIPPreprocess(2), []float64{-1.7922626, 1.9303361, -1.7520971, 2.0748837, -1.4802198, 2.1458969}},
		{"levels", raw, []float64{0, 255, 0, 255, 0, 255}},
		{"rescaled", scaled, []float64{0, 1, 0, 1, 0, 1}},
	} {
		got := make([]float32, 6)
		if err := tt.p.Normalize(got, im); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if math.Abs(float64(v)-tt.want[i]) > 1e-6 {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
				break
			}
		}
	}
}

func TestNormalizeLayout(t *testing.T) {
	im := noise(3, 2, 3, 1)
	p := ViTPreprocess(3)
	p.DoRescale, p.DoNormalize = false, false
	dst := make([]float32, len(im.Pix))
	if err := p.Normalize(dst, im); err != nil {
		t.Fatal(err)
	}
	for c := range 3 {
		for y := range 2 {
			for x := range 3 {
				if got, want := dst[(c*2+y)*3+x], float32(im.Pix[(y*3+x)*3+c]); got != want {
					t.Errorf("(%d, %d, %d) is %g, want %g", c, y, x, got, want)
				}
			}
		}
	}
	for name, err := range map[string]error{
		"short":        p.Normalize(dst[1:], im),
		"gray":         p.Normalize(dst[:6], im.Gray()),
		"empty":        p.Normalize(nil, NewImage(0, 0, 3)),
		"no deviation": Preprocess{ImageMean: p.ImageMean}.Normalize(dst, im),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPreprocessValidate(t *testing.T) {
	for _, p := range []Preprocess{ViTPreprocess(224), CLIPPreprocess(336), TimmPreprocess(224, 0.9)} {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
	if got := TimmPreprocess(224, 0.9).Size.ShortestEdge; got != 248 {
		t.Errorf("timm resizes to %d, want 248", got)
	}
	for _, tt := range []struct {
		want string
		f    func(*Preprocess)
	}{
		{"size.shortest_edge without do_center_crop", func(p *Preprocess) { p.DoCenterCrop = false }},
		{"size.shortest_edge is -3", func(p *Preprocess) { p.Size.ShortestEdge = -3 }},
		{"size has both", func(p *Preprocess) { p.Size.Width = 3 }},
		{"size.height is 0", func(p *Preprocess) { p.Size = Size{Width: 3} }},
		{"size.width is 100000", func(p *Preprocess) { p.Size = Size{Width: 100000, Height: 1} }},
		{"crop_size.width is 0", func(p *Preprocess) { p.CropSize.Width = 0 }},
		{"crop_size has a shortest edge", func(p *Preprocess) { p.CropSize.ShortestEdge = 3 }},
		{"resample is 7", func(p *Preprocess) { p.Resample = 7 }},
		{"rescale_factor is 0", func(p *Preprocess) { p.RescaleFactor = 0 }},
		{"image_mean has 2 values", func(p *Preprocess) { p.ImageMean = p.ImageMean[1:] }},
		{"image_std has 1 values and image_mean 3", func(p *Preprocess) { p.ImageStd = p.ImageStd[2:] }},
		{"image_std[1] is 0", func(p *Preprocess) { p.ImageStd = []float64{1, 0, 1} }},
		{"image_mean[0] is NaN", func(p *Preprocess) { p.ImageMean = []float64{math.NaN(), 0, 0} }},
		{"do_convert_rgb contradicts", func(p *Preprocess) { p.ImageMean, p.ImageStd = []float64{0}, []float64{1} }},
	} {
		p := CLIPPreprocess(224)
		tt.f(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
	err := Preprocess{DoResize: true, DoRescale: true}.Validate()
	for _, want := range []string{"size.height", "size.width", "rescale_factor", "image_mean"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to report %s as well", err, want)
		}
	}
}

func TestTimmPreprocessBadCrop(t *testing.T) {
	for _, pct := range []float64{0, -1, math.NaN(), math.Inf(1), 1e-12} {
		if err := TimmPreprocess(224, pct).Validate(); err == nil {
			t.Errorf("crop of %g: no error", pct)
		}
	}
}

func TestReadPreprocessNamesPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "preprocessor_config.json")
	for _, text := range []string{"", "{", `{"size": "big"}`, `{"size": -1}`, `{"image_mean": []}`} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPreprocess(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v, want it to name the file", text, err)
		}
	}
	if _, err := ReadPreprocess(path + ".none"); err == nil {
		t.Error("missing file: no error")
	}
	if err := (Preprocess{}).Write(path); err == nil {
		t.Error("writing an empty configuration: no error")
	}
}
