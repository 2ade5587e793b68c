package data

import (
	"math"

	"github.com/pkg/errors"
)

// A Filter is a way of interpolating between pixels. Its number is Pillow's,
// found as "resample" in preprocessor_config.json.
type Filter int

// The filters, with their support in source pixels either side. Where an image
// shrinks, all but Nearest widen by the ratio of the sizes, so that every
// source pixel counts (antialiasing).
const (
	Nearest   Filter = 0
	Lanczos   Filter = 1 // 3 pixels
	Bilinear  Filter = 2 // 1 pixel
	Bicubic   Filter = 3 // 2 pixels, a = -0.5
	BoxFilter Filter = 4 // half a pixel: the mean, for whole ratios
)

// kernel returns f's weight by distance, and its support.
func (f Filter) kernel() (func(float64) float64, float64, error) {
	switch f {
	case Lanczos:
		return lanczos, 3, nil
	case Bilinear:
		return triangle, 1, nil
	case Bicubic:
		return bicubic, 2, nil
	case BoxFilter:
		return boxcar, 0.5, nil
	}
	return nil, 0, errors.Errorf("data: resample %d is not known, want 0 (nearest), 1 (Lanczos), 2 (bilinear), 3 (bicubic) or 4 (box)", int(f))
}

// Resize scales im to w×h pixels with the integer arithmetic of Pillow's
// Image.resize. Bilinear and bicubic results are tested to be the same bytes;
// Lanczos depends on the last digit of a sine. A direction that keeps its size is left alone. It is an error if
// im is not valid, f is unknown or a size is not positive.
func Resize(im *Image, w, h int, f Filter) (*Image, error) {
	return resizeWindow(im, w, h, window{W: w, H: h}, f)
}

// A window is a part of an image, in pixels from its top left corner.
type window struct{ X, Y, W, H int }

// resizeWindow returns the part win of Resize(im, w, h, f) without computing
// the rest, which for a long narrow image may not fit into memory.
func resizeWindow(im *Image, w, h int, win window, f Filter) (*Image, error) {
	if err := im.Validate(); err != nil {
		return nil, err
	}
	if w <= 0 || h <= 0 {
		return nil, errors.Errorf("data: cannot resize to %d×%d pixels", w, h)
	}
	if win.X < 0 || win.Y < 0 || win.W <= 0 || win.H <= 0 || win.X > w-win.W || win.Y > h-win.H {
		return nil, errors.Errorf("data: window of %d×%d pixels at (%d, %d) is outside an image of %d×%d", win.W, win.H, win.X, win.Y, w, h)
	}
	if f == Nearest {
		return resizeNearest(im, w, h, win), nil
	}
	kernel, support, err := f.kernel()
	if err != nil {
		return nil, err
	}
	xs := newTaps(im.W, w, win.X, win.W, kernel, support)
	ys := newTaps(im.H, h, win.Y, win.H, kernel, support)
	top, bottom := ys.span()
	out := crop(im, window{0, top, im.W, bottom - top})
	out = out.horizontal(xs)
	return out.vertical(ys, top), nil
}

// taps are the source pixels, from first on, that make up each pixel of a line,
// with their weights in fixed point. A nil slice stands for a plain copy.
type taps struct {
	first   []int
	weights [][]int32
	n       int // pixels made
	offset  int // of the copy
}

// precision is what 32 bits leave for the fraction after 8 bits of pixel and 2
// of overshoot.
const precision = 32 - 8 - 2

// newTaps works out the pixels [from, from+n) of a line of in pixels scaled to
// out. The conversions keep products and sums apart: fusing them would change
// the last bit, and with it a pixel, on some processors.
func newTaps(in, out, from, n int, kernel func(float64) float64, support float64) taps {
	t := taps{n: n, offset: from}
	if in == out {
		return t
	}
	scale := float64(in) / float64(out)
	wide := max(scale, 1)
	support *= wide
	inverse := 1 / wide
	t.first, t.weights = make([]int, n), make([][]int32, n)
	exact := make([]float64, 0, 2*int(math.Ceil(support))+1)
	for i := range n {
		center := float64((float64(from+i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		exact = exact[:0]
		sum := 0.0
		for x := lo; x < hi; x++ {
			w := kernel((float64(x) - center + 0.5) * inverse)
			exact = append(exact, w)
			sum += w
		}
		t.first[i], t.weights[i] = lo, make([]int32, len(exact))
		for k, w := range exact {
			if sum != 0 {
				w /= sum
			}
			t.weights[i][k] = int32(math.Copysign(0.5, w) + float64(w*(1<<precision)))
		}
	}
	return t
}

// span returns the range of source pixels in use.
func (t taps) span() (first, end int) {
	if t.weights == nil {
		return t.offset, t.offset + t.n
	}
	last := t.n - 1
	return t.first[0], t.first[last] + len(t.weights[last])
}

// horizontal makes each row anew by t.
func (im *Image) horizontal(t taps) *Image {
	if t.weights == nil {
		return crop(im, window{t.offset, 0, t.n, im.H})
	}
	out := NewImage(t.n, im.H, im.C)
	for y := range im.H {
		row, to := im.Pix[y*im.W*im.C:][:im.W*im.C], out.Pix[y*t.n*im.C:][:t.n*im.C]
		if im.C == 1 {
			for x, weights := range t.weights {
				sum := int32(1 << (precision - 1))
				for k, p := range row[t.first[x]:][:len(weights)] {
					sum += int32(p) * weights[k]
				}
				to[x] = clip(sum)
			}
			continue
		}
		for x, weights := range t.weights {
			r, g, b := int32(1<<(precision-1)), int32(1<<(precision-1)), int32(1<<(precision-1))
			p := row[3*t.first[x]:][:3*len(weights)]
			for k, w := range weights {
				r += int32(p[3*k]) * w
				g += int32(p[3*k+1]) * w
				b += int32(p[3*k+2]) * w
			}
			to[3*x], to[3*x+1], to[3*x+2] = clip(r), clip(g), clip(b)
		}
	}
	return out
}

// vertical makes each column anew by t, whose pixels count from row top of im.
func (im *Image) vertical(t taps, top int) *Image {
	if t.weights == nil {
		return im
	}
	n := im.W * im.C
	out := NewImage(im.W, t.n, im.C)
	sums := make([]int32, n)
	for y, weights := range t.weights {
		for i := range sums {
			sums[i] = 1 << (precision - 1)
		}
		for k, w := range weights {
			for i, p := range im.Pix[(t.first[y]-top+k)*n:][:n] {
				sums[i] += int32(p) * w
			}
		}
		for i, s := range sums {
			out.Pix[y*n+i] = clip(s)
		}
	}
	return out
}

func clip(sum int32) uint8 { return uint8(min(max(sum>>precision, 0), 255)) }

// resizeNearest adds up steps, as Pillow does, instead of multiplying.
func resizeNearest(im *Image, w, h int, win window) *Image {
	line := func(in, out, from, n int) []int {
		scale := float64(in) / float64(out)
		at, picks := float64(scale*0.5), make([]int, n)
		for i := range from + n {
			if i >= from {
				picks[i-from] = min(int(at), in-1)
			}
			at += scale
		}
		return picks
	}
	xs, ys := line(im.W, w, win.X, win.W), line(im.H, h, win.Y, win.H)
	out := NewImage(win.W, win.H, im.C)
	i := 0
	for _, y := range ys {
		for _, x := range xs {
			i += copy(out.Pix[i:], im.Pix[(y*im.W+x)*im.C:][:im.C])
		}
	}
	return out
}

// crop returns the part win of im, which it may not exceed: im itself if win
// covers it.
func crop(im *Image, win window) *Image {
	if win == (window{0, 0, im.W, im.H}) {
		return im
	}
	out := NewImage(win.W, win.H, im.C)
	n := win.W * im.C
	for y := range win.H {
		copy(out.Pix[y*n:], im.Pix[((win.Y+y)*im.W+win.X)*im.C:][:n])
	}
	return out
}

func boxcar(x float64) float64 {
	if x > -0.5 && x <= 0.5 {
		return 1
	}
	return 0
}

func triangle(x float64) float64 { return max(1-math.Abs(x), 0) }

func bicubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		y := float64((a+2)*x) - (a + 3)
		return float64(y*x*x) + 1
	case x < 2:
		y := float64((x-5)*x) + 8
		return (float64(y*x) - 4) * a
	}
	return 0
}

func lanczos(x float64) float64 {
	if x < -3 || x >= 3 {
		return 0
	}
	return sinc(x) * sinc(x/3)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(x*math.Pi) / (x * math.Pi)
}
