package data

import (
	"math"
	"math/rand/v2"
)

// An Augment returns a random variant of a valid image, which it leaves as it
// is and may return. All chance comes from r: the same state gives the same
// bytes.
//
// Parameters of the constructors that lie outside of their range count as the
// nearest end of it, and ranges may be given in either order.
type Augment func(im *Image, r *rand.Rand) *Image

// Compose applies augmentations one after the other.
func Compose(steps ...Augment) Augment {
	return func(im *Image, r *rand.Rand) *Image {
		for _, step := range steps {
			im = step(im, r)
		}
		return im
	}
}

// HorizontalFlip mirrors left and right with probability p.
func HorizontalFlip(p float64) Augment {
	return func(im *Image, r *rand.Rand) *Image {
		if r.Float64() >= p {
			return im
		}
		return upright(im, mirrored)
	}
}

// Padding is what fills the space that a shift lays open.
type Padding int

const (
	PadZero Padding = iota // black
	PadEdge                // the nearest pixel of the image
)

// RandomShift moves the image by up to the given number of pixels in either
// direction, every whole shift being equally likely. It is what others write as
// a random crop after padding.
func RandomShift(pixels int, pad Padding) Augment {
	pixels = min(max(pixels, 0), maxSide)
	return func(im *Image, r *rand.Rand) *Image {
		dx := r.IntN(2*pixels+1) - pixels
		dy := r.IntN(2*pixels+1) - pixels
		if dx == 0 && dy == 0 {
			return im
		}
		out := NewImage(im.W, im.H, im.C)
		i := 0
		for y := range im.H {
			for x := range im.W {
				sx, sy := x-dx, y-dy
				if pad == PadEdge {
					sx, sy = min(max(sx, 0), im.W-1), min(max(sy, 0), im.H-1)
				}
				if sx >= 0 && sx < im.W && sy >= 0 && sy < im.H {
					copy(out.Pix[i:], im.Pix[(sy*im.W+sx)*im.C:][:im.C])
				}
				i += im.C
			}
		}
		return out
	}
}

// RandomResizedCrop cuts out a rectangle and resizes it to size×size pixels
// (arXiv:1409.4842, section 6). Its area is a uniform share of the image's
// within scale, 0 < share ≤ 1; its ratio of width to height is log-uniform
// within ratio. The usual ranges are {0.08, 1} and {3. / 4, 4. / 3}. Where ten
// tries do not fit into the image, the largest central rectangle of an allowed
// ratio is taken.
func RandomResizedCrop(size int, scale, ratio [2]float64, f Filter) Augment {
	size = min(max(size, 1), maxSide)
	scale, ratio = within(scale, 1e-6, 1), within(ratio, 1e-3, 1e3)
	if f < Nearest || f > BoxFilter {
		f = Bilinear
	}
	return func(im *Image, r *rand.Rand) *Image {
		win, ok := randomRect(im, scale, ratio, r)
		if !ok {
			win = centralRect(im, ratio)
		}
		out, err := Resize(crop(im, win), size, size, f)
		if err != nil { // im is not valid
			return im
		}
		return out
	}
}

// randomRect tries to draw a rectangle inside of im.
func randomRect(im *Image, scale, ratio [2]float64, r *rand.Rand) (window, bool) {
	for range 10 {
		area := float64(im.W) * float64(im.H) * uniform(scale[0], scale[1], r)
		aspect := math.Exp(uniform(math.Log(ratio[0]), math.Log(ratio[1]), r))
		w := int(math.Round(math.Sqrt(area * aspect)))
		h := int(math.Round(math.Sqrt(area / aspect)))
		if w > 0 && h > 0 && w <= im.W && h <= im.H {
			return window{X: r.IntN(im.W - w + 1), Y: r.IntN(im.H - h + 1), W: w, H: h}, true
		}
	}
	return window{}, false
}

// centralRect is the largest rectangle of an allowed ratio.
func centralRect(im *Image, ratio [2]float64) window {
	w, h := im.W, im.H
	switch aspect := float64(w) / float64(h); {
	case aspect < ratio[0]:
		h = min(max(int(math.Round(float64(w)/ratio[0])), 1), h)
	case aspect > ratio[1]:
		w = min(max(int(math.Round(float64(h)*ratio[1])), 1), w)
	}
	return window{X: (im.W - w) / 2, Y: (im.H - h) / 2, W: w, H: h}
}

// RandomErasing replaces a rectangle by noise with probability p
// (arXiv:1708.04896, RE-R). Its area is a uniform share of the image's within
// scale, its ratio of width to height log-uniform within ratio; the paper has
// {0.02, 0.4} and {0.3, 1 / 0.3}. Where ten tries do not fit, nothing is
// erased.
func RandomErasing(p float64, scale, ratio [2]float64) Augment {
	scale, ratio = within(scale, 1e-6, 1), within(ratio, 1e-3, 1e3)
	return func(im *Image, r *rand.Rand) *Image {
		if r.Float64() >= p {
			return im
		}
		win, ok := randomRect(im, scale, ratio, r)
		if !ok {
			return im
		}
		noise := NewImage(win.W, win.H, im.C)
		for i := range noise.Pix {
			noise.Pix[i] = uint8(r.Uint32())
		}
		out := im.Clone()
		out.draw(noise, win.X, win.Y)
		return out
	}
}

// uniform draws from [lo, hi).
func uniform(lo, hi float64, r *rand.Rand) float64 { return lo + (hi-lo)*r.Float64() }

// within orders a range and confines it to [lo, hi].
func within(v [2]float64, lo, hi float64) [2]float64 {
	a, b := confine(v[0], lo, hi), confine(v[1], lo, hi)
	return [2]float64{min(a, b), max(a, b)}
}

// confine also turns NaN into lo.
func confine(v, lo, hi float64) float64 {
	if !(v > lo) {
		return lo
	}
	return min(v, hi)
}
