package data

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"github.com/pkg/errors"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// DefaultMaxPixels is the usual limit on an image's area: 64 megapixels.
const DefaultMaxPixels = 64_000_000

// Decode reads a JPEG, PNG, GIF (first frame), WebP, BMP or TIFF image and
// turns it upright by the orientation in its EXIF data. Gray files give one
// channel, all others three; see [FromStd] for transparency and 16-bit
// samples. Transparent pixels of a GIF are black.
//
// The header is read first: an image of more than maxPixels pixels, or
// [DefaultMaxPixels] if maxPixels ≤ 0, is refused before memory is set aside
// for it. A damaged or unknown file is an error.
func Decode(r io.Reader, maxPixels int) (*Image, error) {
	im, err := decode(r, maxPixels)
	return im, errors.Wrap(err, "data: image")
}

// DecodeFile is [Decode] on a file. Its errors name the path.
func DecodeFile(path string, maxPixels int) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	defer f.Close()
	im, err := decode(f, maxPixels)
	return im, errors.Wrapf(err, "data: %s", path)
}

func decode(r io.Reader, maxPixels int) (*Image, error) {
	if maxPixels <= 0 {
		maxPixels = DefaultMaxPixels
	}
	b, err := readBounded(r, maxPixels)
	if err != nil {
		return nil, err
	}
	f, err := sniff(b)
	if err != nil {
		return nil, err
	}
	c, err := f.config(bytes.NewReader(b))
	if err != nil {
		return nil, errors.Wrapf(err, "%s header", f.name)
	}
	if c.Width <= 0 || c.Height <= 0 {
		return nil, errors.Errorf("%s of %d×%d pixels is empty", f.name, c.Width, c.Height)
	}
	if c.Width > maxPixels/c.Height {
		return nil, errors.Errorf("%s of %d×%d pixels exceeds the limit of %d pixels", f.name, c.Width, c.Height, maxPixels)
	}
	m, err := f.decode(bytes.NewReader(b))
	if err != nil {
		return nil, errors.Wrap(err, f.name)
	}
	im := FromStd(m)
	if f.name == "GIF" {
		im = onCanvas(im, m.Bounds().Min, c.Width, c.Height)
	}
	if im.W != c.Width || im.H != c.Height {
		return nil, errors.Errorf("%s has %d×%d pixels, its header says %d×%d", f.name, im.W, im.H, c.Width, c.Height)
	}
	return upright(im, orientation(f.exif(b))), nil
}

// readBounded reads all of r. A file that could not be an image within the
// limit, at 16 bits in four channels after 64 MiB of metadata, is refused.
func readBounded(r io.Reader, maxPixels int) ([]byte, error) {
	limit := int64(64<<20) + 8*int64(maxPixels)
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, errors.Errorf("longer than %d bytes, too long for an image of %d pixels", limit, maxPixels)
	}
	return b, nil
}

// A format is one way of storing images. Formats are listed here rather than
// looked up in package image, where any import may add one.
type format struct {
	name   string
	magic  []string // a file begins with one of these; ? stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	exif   func([]byte) []byte // the EXIF block, or nil
}

func sniff(b []byte) (*format, error) {
	none := func([]byte) []byte { return nil }
	whole := func(b []byte) []byte { return b }
	for _, f := range []format{
		{"JPEG", []string{"\xff\xd8"}, jpeg.DecodeConfig, jpeg.Decode, jpegEXIF},
		{"PNG", []string{"\x89PNG\r\n\x1a\n"}, png.DecodeConfig, png.Decode, pngEXIF},
		{"GIF", []string{"GIF87a", "GIF89a"}, gif.DecodeConfig, gif.Decode, none},
		{"WebP", []string{"RIFF????WEBPVP8"}, webp.DecodeConfig, webp.Decode, webpEXIF},
		{"BMP", []string{"BM"}, bmp.DecodeConfig, bmp.Decode, none},
		{"TIFF", []string{"II*\x00", "MM\x00*"}, tiff.DecodeConfig, tiff.Decode, whole},
	} {
		for _, magic := range f.magic {
			if matches(b, magic) {
				return &f, nil
			}
		}
	}
	return nil, errors.Errorf("starts with %q: not a JPEG, PNG, GIF, WebP, BMP or TIFF image", b[:min(len(b), 8)])
}

func matches(b []byte, magic string) bool {
	if len(b) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != b[i] {
			return false
		}
	}
	return true
}

// onCanvas places the first frame of an animation, which may be smaller than
// its canvas, on black.
func onCanvas(im *Image, at image.Point, w, h int) *Image {
	if im.W == w && im.H == h {
		return im
	}
	out := NewImage(w, h, im.C)
	out.draw(im, at.X, at.Y)
	return out
}
