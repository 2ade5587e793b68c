package data

import "github.com/pkg/errors"

// Image holds 8-bit pixels, rows from the top, channels interleaved:
// Pix[(y*W+x)*C+c]. C is 1 (gray) or 3 (RGB).
type Image struct {
	W, H, C int
	Pix     []uint8
}

// NewImage returns a black image of w×h pixels with c channels.
func NewImage(w, h, c int) *Image {
	return &Image{W: w, H: h, C: c, Pix: make([]uint8, w*h*c)}
}

// Clone returns a copy that shares no memory with im.
func (im *Image) Clone() *Image {
	return &Image{W: im.W, H: im.H, C: im.C, Pix: append([]uint8(nil), im.Pix...)}
}

// Validate reports an image without pixels, with a number of channels other
// than 1 or 3, or whose slice does not hold W·H·C values.
func (im *Image) Validate() error {
	switch {
	case im == nil:
		return errors.New("data: no image")
	case im.W <= 0 || im.H <= 0:
		return errors.Errorf("data: image of %d×%d pixels is empty", im.W, im.H)
	case im.C != 1 && im.C != 3:
		return errors.Errorf("data: image has %d channels, want 1 (gray) or 3 (RGB)", im.C)
	case len(im.Pix) != im.W*im.H*im.C:
		return errors.Errorf("data: image of %d×%d×%d holds %d values, want %d", im.W, im.H, im.C, len(im.Pix), im.W*im.H*im.C)
	}
	return nil
}

// RGB returns im itself if it has three channels, and otherwise a copy that
// repeats the gray channel.
func (im *Image) RGB() *Image {
	if im.C == 3 {
		return im
	}
	out := NewImage(im.W, im.H, 3)
	for i, v := range im.Pix {
		out.Pix[3*i], out.Pix[3*i+1], out.Pix[3*i+2] = v, v, v
	}
	return out
}

// Gray returns im itself if it has one channel, and otherwise its luma by ITU-R
// 601-2 with the rounding of Pillow's mode "L".
func (im *Image) Gray() *Image {
	if im.C == 1 {
		return im
	}
	out := NewImage(im.W, im.H, 1)
	for i := range out.Pix {
		out.Pix[i] = luma(im.Pix[3*i], im.Pix[3*i+1], im.Pix[3*i+2])
	}
	return out
}

// luma is (0.299 R + 0.587 G + 0.114 B) in 16-bit fixed point.
func luma(r, g, b uint8) uint8 {
	return uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 0x8000) >> 16)
}

// draw copies the pixels of src, which must fit, to (x, y).
func (im *Image) draw(src *Image, x, y int) {
	n := src.W * src.C
	for row := range src.H {
		copy(im.Pix[((y+row)*im.W+x)*im.C:], src.Pix[row*n:][:n])
	}
}
