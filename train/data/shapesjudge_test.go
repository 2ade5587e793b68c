package data

import (
	"math/rand/v2"
	"testing"
)

// blurred is an image whose pixels are means of 3×3, as a coder of few bits
// draws it, with grain.
func blurred(im *Image, rng *rand.Rand) *Image {
	out := NewImage(im.W, im.H, im.C)
	for y := range im.H {
		for x := range im.W {
			for c := range im.C {
				sum, n := 0, 0
				for v := max(0, y-1); v < min(im.H, y+2); v++ {
					for u := max(0, x-1); u < min(im.W, x+2); u++ {
						sum, n = sum+int(im.Pix[(v*im.W+u)*im.C+c]), n+1
					}
				}
				out.Pix[(y*im.W+x)*im.C+c] = uint8(min(255, max(0, float64(sum)/float64(n)+6*rng.NormFloat64())))
			}
		}
	}
	return out
}

func TestShapeReader(t *testing.T) {
	r := NewShapeReader()
	for _, tt := range []struct {
		name string
		size int
		blur bool
	}{
		{"28 pixels", 28, false},
		{"32 pixels", 32, false},
		{"64 pixels", 64, false},
		{"odd", 57, false},
		{"blurred", 32, true},
		{"large blurred", 64, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Shapes{N: 500, Size: tt.size, Seed: 9}
			rng := rand.New(rand.NewPCG(1, 2))
			right := 0
			for i := range s.N {
				ex, err := s.Example(i)
				if err != nil {
					t.Fatal(err)
				}
				im := ex.Image
				if tt.blur {
					im = blurred(im, rng)
				}
				if p, ok := r.Read(im); ok && p == s.Spec(i).Pair {
					right++
				}
			}
			share := float64(right) / float64(s.N)
			if share < 0.99 {
				t.Errorf("%.2f %% are read right, want 99 %%", 100*share)
			}
		})
	}
}

// What shows no shape is not read as one.
func TestShapeReaderFails(t *testing.T) {
	r := NewShapeReader()
	rng := rand.New(rand.NewPCG(3, 4))
	even, noise := NewImage(32, 32, 3), NewImage(32, 32, 3)
	for i := range even.Pix {
		even.Pix[i] = 90
		noise.Pix[i] = uint8(rng.IntN(256))
	}
	for _, tt := range []struct {
		name string
		im   *Image
	}{
		{"even", even},
		{"noise", noise},
		{"gray", NewImage(32, 32, 1)},
		{"one pixel", NewImage(1, 1, 3)},
		{"empty", NewImage(0, 0, 3)},
	} {
		if p, ok := r.Read(tt.im); ok {
			t.Errorf("%s: read as %v", tt.name, p)
		}
	}
}
