package data

import (
	"bytes"
	"math"
	"testing"
)

func TestRandAugmentOperations(t *testing.T) {
	free := map[string]bool{"identity": true, "autocontrast": true, "equalize": true}
	ops := randAugmentOps()
	if len(ops) != 14 {
		t.Fatalf("%d operations, want 14", len(ops))
	}
	for _, c := range []int{1, 3} {
		im := noise(31, 23, c, 1)
		for i := range im.Pix { // leave room for contrast
			im.Pix[i] = 80 + im.Pix[i]/2
		}
		for _, op := range ops {
			if !free[op.name] && !same(op.apply(im, 0), im) {
				t.Errorf("%s of %d channels: magnitude 0 changes the image", op.name, c)
			}
			for _, m := range []float64{-1, 0.3, 1} {
				changed := !same(op.apply(im, m), im)
				if want := op.name != "identity" && !(op.name == "color" && c == 1); changed != want {
					t.Errorf("%s of %d channels at %g: changed is %t, want %t", op.name, c, m, changed, want)
				}
			}
		}
	}
}

func TestRandAugmentDrawsAllOperations(t *testing.T) {
	im := noise(16, 16, 3, 1)
	distinct := map[string]bool{}
	r := rng(1)
	for range 600 {
		distinct[string(RandAugment(1, 15)(im, r).Pix)] = true
	}
	// Nine have a sign; solarize and posterize do not, nor have three others.
	if want := 9*2 + 5; len(distinct) != want {
		t.Errorf("%d results, want %d", len(distinct), want)
	}
	if !same(RandAugment(0, 30)(im, r), im) {
		t.Error("no operations change the image")
	}
}

func TestAffine(t *testing.T) {
	im := &Image{W: 3, H: 3, C: 1, Pix: []uint8{
		1, 2, 3,
		4, 5, 6,
		7, 8, 9,
	}}
	for _, tt := range []struct {
		name string
		got  *Image
		want []uint8
	}{
		{"quarter turn clockwise", rotate(im, math.Pi/2), []uint8{7, 4, 1, 8, 5, 2, 9, 6, 3}},
		{"half turn", rotate(im, math.Pi), []uint8{9, 8, 7, 6, 5, 4, 3, 2, 1}},
		{"one to the left", affine(im, matrix{1, 0, 1, 0, 1, 0}), []uint8{2, 3, 0, 5, 6, 0, 8, 9, 0}},
		{"half a pixel up", affine(im, matrix{1, 0, 0, 0, 1, 0.5}), []uint8{3, 4, 5, 6, 7, 8, 4, 4, 5}},
		{"shear by one", affine(im, matrix{1, 1, 0, 0, 1, 0}), []uint8{0, 1, 2, 4, 5, 6, 8, 9, 0}},
	} {
		if !bytes.Equal(tt.got.Pix, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.got.Pix, tt.want)
		}
	}
}

func TestRotateKeepsCenter(t *testing.T) {
	im := NewImage(21, 21, 1)
	for i := range im.Pix {
		im.Pix[i] = 200
	}
	out := rotate(im, math.Pi/6)
	if out.Pix[10*21+10] != 200 {
		t.Errorf("center is %d, want 200", out.Pix[10*21+10])
	}
	if out.Pix[0] != 0 {
		t.Errorf("corner is %d, want 0", out.Pix[0])
	}
}
