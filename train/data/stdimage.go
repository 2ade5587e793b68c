package data

import (
	"image"
	"image/color"
)

// Std returns a copy of im as an *image.Gray or an opaque *image.NRGBA.
func (im *Image) Std() image.Image {
	if im.C == 1 {
		out := image.NewGray(image.Rect(0, 0, im.W, im.H))
		copy(out.Pix, im.Pix)
		return out
	}
	out := image.NewNRGBA(image.Rect(0, 0, im.W, im.H))
	for i := range im.W * im.H {
		copy(out.Pix[4*i:], im.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

// FromStd copies m into an Image: gray for *image.Gray and *image.Gray16, RGB
// for everything else. As in Pillow's convert("RGB"), transparency is dropped
// without compositing, so a transparent pixel shows the color stored under it.
// 16-bit samples keep their high byte.
func FromStd(m image.Image) *Image {
	switch m := m.(type) {
	case *image.Gray:
		return fromRows(m.Pix, m.Stride, m.Rect, 1, 1)
	case *image.Gray16:
		return fromRows(m.Pix, m.Stride, m.Rect, 2, 1)
	case *image.NRGBA:
		return fromRows(m.Pix, m.Stride, m.Rect, 4, 3)
	case *image.NRGBA64:
		return fromRows(m.Pix, m.Stride, m.Rect, 8, 3)
	case *image.YCbCr:
		return fromYCbCr(m)
	case *image.NYCbCrA:
		return fromYCbCr(&m.YCbCr)
	case *image.CMYK:
		return fromCMYK(m)
	case *image.Paletted:
		return fromPaletted(m)
	}
	r := m.Bounds()
	out := NewImage(r.Dx(), r.Dy(), 3)
	for i := range out.W * out.H {
		setRGB(out, i, m.At(r.Min.X+i%out.W, r.Min.Y+i/out.W))
	}
	return out
}

// fromRows takes c samples from every pixel of size bytes. The samples are
// evenly spaced: at 16 bits, the high byte comes first.
func fromRows(pix []uint8, stride int, r image.Rectangle, size, c int) *Image {
	out := NewImage(r.Dx(), r.Dy(), c)
	step := 1
	if size == 2 || size == 8 {
		step = 2
	}
	i := 0
	for y := range out.H {
		row := pix[y*stride:]
		for x := range out.W {
			for k := range c {
				out.Pix[i] = row[x*size+k*step]
				i++
			}
		}
	}
	return out
}

func fromYCbCr(m *image.YCbCr) *Image {
	r := m.Rect
	out := NewImage(r.Dx(), r.Dy(), 3)
	i := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			l, c := m.YOffset(x, y), m.COffset(x, y)
			out.Pix[i], out.Pix[i+1], out.Pix[i+2] = color.YCbCrToRGB(m.Y[l], m.Cb[c], m.Cr[c])
			i += 3
		}
	}
	return out
}

// fromCMYK rounds like Pillow, which differs from color.CMYKToRGB by up to one
// level.
func fromCMYK(m *image.CMYK) *Image {
	out := NewImage(m.Rect.Dx(), m.Rect.Dy(), 3)
	i := 0
	for y := range out.H {
		for x := range out.W {
			p := m.Pix[y*m.Stride+4*x:]
			white := 255 - uint32(p[3])
			for k := range 3 {
				t := uint32(p[k])*white + 128
				out.Pix[i] = uint8(white - (t>>8+t)>>8)
				i++
			}
		}
	}
	return out
}

func fromPaletted(m *image.Paletted) *Image {
	// A pixel may name a color beyond the end of a short palette: it is black.
	colors := NewImage(256, 1, 3)
	for i, c := range m.Palette[:min(len(m.Palette), 256)] {
		setRGB(colors, i, c)
	}
	out := NewImage(m.Rect.Dx(), m.Rect.Dy(), 3)
	i := 0
	for y := range out.H {
		for _, p := range m.Pix[y*m.Stride:][:out.W] {
			i += copy(out.Pix[i:], colors.Pix[3*int(p):][:3])
		}
	}
	return out
}

// setRGB stores c at pixel i of an RGB image, undoing premultiplied alpha.
func setRGB(im *Image, i int, c color.Color) {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	im.Pix[3*i], im.Pix[3*i+1], im.Pix[3*i+2] = n.R, n.G, n.B
}
