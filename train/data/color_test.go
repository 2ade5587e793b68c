package data

import (
	"bytes"
	"testing"
)

func TestColorOperations(t *testing.T) {
	for _, tt := range []struct {
		name     string
		c        int
		from, to []uint8
		f        func(*Image) *Image
	}{
		{"brighter, clipped", 1, []uint8{0, 100, 200}, []uint8{0, 150, 255}, func(im *Image) *Image { return adjustBrightness(im, 1.5) }},
		{"no brightness is black", 1, []uint8{0, 100, 200}, []uint8{0, 0, 0}, func(im *Image) *Image { return adjustBrightness(im, 0) }},
		{"no contrast is the mean", 1, []uint8{0, 100, 200}, []uint8{100, 100, 100}, func(im *Image) *Image { return adjustContrast(im, 0) }},
		{"twice the contrast", 1, []uint8{60, 100, 140}, []uint8{20, 100, 180}, func(im *Image) *Image { return adjustContrast(im, 2) }},
		{"no saturation is gray", 3, []uint8{255, 0, 0}, []uint8{76, 76, 76}, func(im *Image) *Image { return adjustSaturation(im, 0) }},
		{"twice the saturation", 3, []uint8{110, 100, 100}, []uint8{117, 97, 97}, func(im *Image) *Image { return adjustSaturation(im, 2) }},
		{"gray has no saturation", 1, []uint8{1, 2, 3}, []uint8{1, 2, 3}, func(im *Image) *Image { return adjustSaturation(im, 0) }},
		{"red turns green by a third", 3, []uint8{200, 0, 0}, []uint8{0, 200, 0}, func(im *Image) *Image { return adjustHue(im, 1./3) }},
		{"red turns blue by a third back", 3, []uint8{200, 0, 0}, []uint8{0, 0, 200}, func(im *Image) *Image { return adjustHue(im, -1./3) }},
		{"half a turn is the complement", 3, []uint8{200, 50, 50}, []uint8{50, 200, 200}, func(im *Image) *Image { return adjustHue(im, 0.5) }},
		{"gray pixels have no hue", 3, []uint8{9, 9, 9}, []uint8{9, 9, 9}, func(im *Image) *Image { return adjustHue(im, 0.3) }},
		{"four bits", 1, []uint8{15, 16, 255}, []uint8{0, 16, 240}, func(im *Image) *Image { return posterize(im, 4) }},
		{"all bits", 1, []uint8{15, 16, 255}, []uint8{15, 16, 255}, func(im *Image) *Image { return posterize(im, 8) }},
		{"solarize", 1, []uint8{0, 127, 128, 255}, []uint8{0, 127, 127, 0}, func(im *Image) *Image { return solarize(im, 128) }},
		{"solarize beyond white", 1, []uint8{0, 255}, []uint8{0, 255}, func(im *Image) *Image { return solarize(im, 256) }},
		{"autocontrast", 1, []uint8{100, 150, 200}, []uint8{0, 128, 255}, autocontrast},
		{"autocontrast by channel", 3, []uint8{1, 50, 7, 2, 40, 7}, []uint8{0, 255, 7, 255, 0, 7}, autocontrast},
		{"autocontrast of one level", 1, []uint8{9, 9}, []uint8{9, 9}, autocontrast},
		{"equalize of few pixels", 1, []uint8{9, 10, 200}, []uint8{9, 10, 200}, equalize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			im := &Image{W: len(tt.from) / tt.c, H: 1, C: tt.c, Pix: tt.from}
			if got := tt.f(im); !bytes.Equal(got.Pix, tt.to) {
				t.Errorf("%v becomes %v, want %v", tt.from, got.Pix, tt.to)
			}
		})
	}
}

func TestHueTurnsBack(t *testing.T) {
	im := noise(40, 40, 3, 1)
	back := adjustHue(adjustHue(im, 0.2), -0.2)
	for i, v := range im.Pix {
		if d := int(back.Pix[i]) - int(v); d < -2 || d > 2 {
			t.Fatalf("value %d is %d after turning there and back, was %d", i, back.Pix[i], v)
		}
	}
	if !same(adjustHue(im, 1), im) {
		t.Error("a full turn changed the image")
	}
}

// A dark image of even levels 0 to 63 spreads over the full range.
func TestEqualizeSpreads(t *testing.T) {
	im := NewImage(256, 256, 1)
	for i := range im.Pix {
		im.Pix[i] = uint8(i % 64)
	}
	out := equalize(im)
	for v := range 64 {
		want := float64(v) * 255 / 63
		if got := float64(out.Pix[v]); got < want-2 || got > want+2 {
			t.Errorf("level %d becomes %g, want about %g", v, got, want)
		}
	}
}

func TestSharpness(t *testing.T) {
	im := NewImage(5, 5, 1)
	im.Pix[2*5+2] = 130
	blurred := adjustSharpness(im, 0)
	want := []uint8{
		0, 0, 0, 0, 0,
		0, 10, 10, 10, 0,
		0, 10, 50, 10, 0,
		0, 10, 10, 10, 0,
		0, 0, 0, 0, 0,
	}
	if !bytes.Equal(blurred.Pix, want) {
		t.Errorf("blurred %v, want %v", blurred.Pix, want)
	}
	if sharp := adjustSharpness(im, 2); sharp.Pix[12] != 210 || sharp.Pix[11] != 0 {
		t.Errorf("sharpened center %d and neighbour %d, want 210 and 0", sharp.Pix[12], sharp.Pix[11])
	}
	edge := noise(6, 6, 3, 1)
	out := adjustSharpness(edge, 0)
	for i := range 6 * 3 {
		if out.Pix[i] != edge.Pix[i] {
			t.Fatal("the border changed")
		}
	}
}

func TestColorJitterZeroIsIdentity(t *testing.T) {
	im := noise(9, 9, 3, 1)
	for seed := range uint64(20) {
		if !same(ColorJitter(0, 0, 0, 0)(im, rng(seed)), im) {
			t.Fatal("image changed")
		}
	}
}

// Brightness alone draws its factor uniformly from [1-v, 1+v].
func TestColorJitterRange(t *testing.T) {
	im := &Image{W: 1, H: 1, C: 1, Pix: []uint8{100}}
	r, lo, hi, sum := rng(1), 255, 0, 0
	for range 4000 {
		v := int(ColorJitter(0.5, 0, 0, 0)(im, r).Pix[0])
		lo, hi, sum = min(lo, v), max(hi, v), sum+v
	}
	if lo != 50 || hi != 150 || sum/4000 < 98 || sum/4000 > 102 {
		t.Errorf("100 becomes %d to %d, %d on average, want 50 to 150, 100 on average", lo, hi, sum/4000)
	}
}
