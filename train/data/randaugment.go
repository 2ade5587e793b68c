package data

import (
	"math"
	"math/rand/v2"
)

// RandAugment applies n operations, drawn from fourteen with equal
// probability and repetition, at one magnitude (arXiv:1909.13719). Magnitudes
// are 0 to 30, usually 9, as in torchvision. At 30, with a random sign where
// there is one:
//
//	shear x, y            0.3 of the other side
//	translate x, y        150/331 of the side, whole pixels
//	rotate                30 degrees
//	brightness, contrast,
//	color, sharpness      a factor of 1 ± 0.9
//	posterize             4 of 8 bits kept
//	solarize              all levels inverted
//
// At 0 these change nothing; identity, autocontrast and equalize have no
// magnitude. Space laid open is black, and movements interpolate linearly.
func RandAugment(n int, magnitude float64) Augment {
	m := confine(magnitude, 0, 30) / 30
	ops := randAugmentOps()
	return func(im *Image, r *rand.Rand) *Image {
		for range n {
			op := ops[r.IntN(len(ops))]
			signed := m
			if r.IntN(2) == 1 {
				signed = -m
			}
			im = op.apply(im, signed)
		}
		return im
	}
}

// A randAugmentOp changes an image by a strength from -1 to 1.
type randAugmentOp struct {
	name  string
	apply func(im *Image, m float64) *Image
}

func randAugmentOps() []randAugmentOp {
	const shift = 150. / 331
	return []randAugmentOp{
		{"identity", func(im *Image, m float64) *Image { return im }},
		{"autocontrast", func(im *Image, m float64) *Image { return autocontrast(im) }},
		{"equalize", func(im *Image, m float64) *Image { return equalize(im) }},
		{"rotate", func(im *Image, m float64) *Image { return rotate(im, m*math.Pi/6) }},
		{"solarize", func(im *Image, m float64) *Image { return solarize(im, 256*(1-math.Abs(m))) }},
		{"color", func(im *Image, m float64) *Image { return adjustSaturation(im, 1+0.9*m) }},
		{"posterize", func(im *Image, m float64) *Image { return posterize(im, 8-int(math.Round(4*math.Abs(m)))) }},
		{"contrast", func(im *Image, m float64) *Image { return adjustContrast(im, 1+0.9*m) }},
		{"brightness", func(im *Image, m float64) *Image { return adjustBrightness(im, 1+0.9*m) }},
		{"sharpness", func(im *Image, m float64) *Image { return adjustSharpness(im, 1+0.9*m) }},
		{"shear x", func(im *Image, m float64) *Image { return affine(im, matrix{1, 0.3 * m, 0, 0, 1, 0}) }},
		{"shear y", func(im *Image, m float64) *Image { return affine(im, matrix{1, 0, 0, 0.3 * m, 1, 0}) }},
		{"translate x", func(im *Image, m float64) *Image {
			return affine(im, matrix{1, 0, math.Round(m * shift * float64(im.W)), 0, 1, 0})
		}},
		{"translate y", func(im *Image, m float64) *Image {
			return affine(im, matrix{1, 0, 0, 0, 1, math.Round(m * shift * float64(im.H))})
		}},
	}
}

// rotate turns im clockwise about its center.
func rotate(im *Image, radians float64) *Image {
	sin, cos := math.Sincos(radians)
	return affine(im, matrix{cos, sin, 0, -sin, cos, 0})
}

// A matrix leads from a pixel (x, y) of the result, counted from the center, to
// its source (m[0]x + m[1]y + m[2], m[3]x + m[4]y + m[5]).
type matrix [6]float64

// affine moves the pixels of im by m with bilinear interpolation.
func affine(im *Image, m matrix) *Image {
	out := NewImage(im.W, im.H, im.C)
	cx, cy := float64(im.W-1)/2, float64(im.H-1)/2
	i := 0
	for y := range im.H {
		for x := range im.W {
			dx, dy := float64(x)-cx, float64(y)-cy
			sx := m[0]*dx + m[1]*dy + m[2] + cx
			sy := m[3]*dx + m[4]*dy + m[5] + cy
			x0, y0 := math.Floor(sx), math.Floor(sy)
			fx, fy := sx-x0, sy-y0
			for c := range im.C {
				v := (1-fy)*((1-fx)*im.at(int(x0), int(y0), c)+fx*im.at(int(x0)+1, int(y0), c)) +
					fy*((1-fx)*im.at(int(x0), int(y0)+1, c)+fx*im.at(int(x0)+1, int(y0)+1, c))
				out.Pix[i] = level(v)
				i++
			}
		}
	}
	return out
}

// at is the level of channel c at (x, y): 0 outside.
func (im *Image) at(x, y, c int) float64 {
	if x < 0 || y < 0 || x >= im.W || y >= im.H {
		return 0
	}
	return float64(im.Pix[(y*im.W+x)*im.C+c])
}
