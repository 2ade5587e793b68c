package data

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"testing"
)

// noise returns an image of uniformly random levels.
func noise(w, h, c int, seed uint64) *Image {
	r := rand.New(rand.NewPCG(seed, 1))
	im := NewImage(w, h, c)
	for i := range im.Pix {
		im.Pix[i] = uint8(r.Uint32())
	}
	return im
}

func same(a, b *Image) bool {
	return a.W == b.W && a.H == b.H && a.C == b.C && bytes.Equal(a.Pix, b.Pix)
}

func TestGrayMatchesPillow(t *testing.T) {
	for _, tt := range []struct {
		rgb  [3]uint8
		want uint8
	}{
		{[3]uint8{0, 0, 0}, 0},
		{[3]uint8{255, 255, 255}, 255},
		{[3]uint8{255, 0, 0}, 76},
		{[3]uint8{0, 255, 0}, 150},
		{[3]uint8{0, 0, 255}, 29},
		{[3]uint8{10, 20, 30}, 18},
	} {
		im := &Image{W: 1, H: 1, C: 3, Pix: tt.rgb[:]}
		if got := im.Gray().Pix[0]; got != tt.want {
			t.Errorf("gray of %v = %d, want %d", tt.rgb, got, tt.want)
		}
	}
}

func TestGrayUndoesRGB(t *testing.T) {
	im := noise(7, 5, 1, 1)
	rgb := im.RGB()
	if rgb.C != 3 || len(rgb.Pix) != 3*len(im.Pix) {
		t.Fatalf("RGB has %d channels and %d values", rgb.C, len(rgb.Pix))
	}
	if !same(rgb.Gray(), im) {
		t.Error("gray image changed on the way through RGB")
	}
}

func TestImageValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		im   *Image
		ok   bool
	}{
		{"gray", NewImage(3, 2, 1), true},
		{"RGB", NewImage(3, 2, 3), true},
		{"nil", nil, false},
		{"no pixels", NewImage(0, 2, 3), false},
		{"negative", &Image{W: -1, H: -1, C: 1, Pix: make([]uint8, 1)}, false},
		{"two channels", NewImage(3, 2, 2), false},
		{"short slice", &Image{W: 3, H: 2, C: 3, Pix: make([]uint8, 17)}, false},
	} {
		if err := tt.im.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

func TestStdRoundTrip(t *testing.T) {
	for _, c := range []int{1, 3} {
		im := noise(5, 3, c, 2)
		if !same(FromStd(im.Std()), im) {
			t.Errorf("image of %d channels changed on the way through package image", c)
		}
	}
}

// Opaque images of every type, also seen through an off-center window, give the
// colors that package image reports.
func TestFromStdTypes(t *testing.T) {
	full := image.Rect(-2, -1, 9, 7)
	part := image.Rect(1, 2, 6, 7)
	source := noise(full.Dx(), full.Dy(), 3, 3).Std().(*image.NRGBA)
	source.Rect = full
	palette := color.Palette{color.Black, color.White, color.NRGBA{200, 30, 60, 255}, color.RGBA{3, 2, 1, 255}}
	type parted interface {
		draw.Image
		SubImage(image.Rectangle) image.Image
	}
	for name, m := range map[string]parted{
		"Gray":     image.NewGray(full),
		"Gray16":   image.NewGray16(full),
		"NRGBA":    image.NewNRGBA(full),
		"NRGBA64":  image.NewNRGBA64(full),
		"RGBA":     image.NewRGBA(full),
		"RGBA64":   image.NewRGBA64(full),
		"Paletted": image.NewPaletted(full, palette),
	} {
		draw.Draw(m, full, source, full.Min, draw.Src)
		for _, view := range []image.Image{m, m.SubImage(part)} {
			checkColors(t, name, view)
		}
	}
	ycc := image.NewYCbCr(full, image.YCbCrSubsampleRatio420)
	for i := range ycc.Y {
		ycc.Y[i] = uint8(37 * i)
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = uint8(90+11*i), uint8(150-13*i)
	}
	checkColors(t, "YCbCr", ycc)
	checkColors(t, "YCbCr", ycc.SubImage(part))
}

func checkColors(t *testing.T, name string, m image.Image) {
	t.Helper()
	got, r := FromStd(m).RGB(), m.Bounds()
	if got.W != r.Dx() || got.H != r.Dy() {
		t.Fatalf("%s: %d×%d pixels, want %d×%d", name, got.W, got.H, r.Dx(), r.Dy())
	}
	for i := range got.W * got.H {
		want := color.NRGBAModel.Convert(m.At(r.Min.X+i%got.W, r.Min.Y+i/got.W)).(color.NRGBA)
		if p := got.Pix[3*i:]; p[0] != want.R || p[1] != want.G || p[2] != want.B {
			t.Fatalf("%s: pixel %d is %v, want %v", name, i, p[:3], want)
		}
	}
}

func TestFromStdDropsAlpha(t *testing.T) {
	want := []uint8{200, 100, 50}
	rect := image.Rect(0, 0, 1, 1)
	clear := color.NRGBA{200, 100, 50, 0}
	n := image.NewNRGBA(rect)
	n.SetNRGBA(0, 0, clear)
	wide := image.NewNRGBA64(rect)
	wide.SetNRGBA64(0, 0, color.NRGBA64{R: 200<<8 | 99, G: 100<<8 | 255, B: 50 << 8})
	p := image.NewPaletted(rect, color.Palette{clear})
	for _, m := range []image.Image{n, wide, p} {
		if got := FromStd(m).Pix; !bytes.Equal(got, want) {
			t.Errorf("%T: transparent pixel is %v, want %v", m, got, want)
		}
	}
}

func TestFromStdCMYK(t *testing.T) {
	m := image.NewCMYK(image.Rect(0, 0, 4, 1))
	m.Pix = []uint8{0, 0, 0, 0, 255, 128, 0, 0, 0, 0, 0, 255, 10, 200, 77, 100}
	// (255-k) - round(ink (255-k) / 255), as Pillow has it.
	want := []uint8{255, 255, 255, 0, 127, 255, 0, 0, 0, 149, 33, 108}
	if got := FromStd(m).Pix; !bytes.Equal(got, want) {
		t.Errorf("pixels %v, want %v", got, want)
	}
}

func TestFromStdShortPalette(t *testing.T) {
	m := image.NewPaletted(image.Rect(0, 0, 2, 1), color.Palette{color.White})
	m.Pix = []uint8{0, 9}
	if got, want := FromStd(m).Pix, []uint8{255, 255, 255, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("pixels %v, want %v", got, want)
	}
}
