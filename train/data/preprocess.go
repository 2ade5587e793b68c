package data

import (
	"math"

	"github.com/pkg/errors"
)

// Preprocess turns an image of any size into a model's input. It is a published
// preprocessor_config.json: Hugging Face's ViTImageProcessor (resize straight
// to a square) and CLIPImageProcessor (resize the shorter edge, crop the
// center), whose steps run in the order of the fields.
type Preprocess struct {
	Type          string    `json:"image_processor_type"`
	DoConvertRGB  bool      `json:"do_convert_rgb"` // implied by three means
	DoResize      bool      `json:"do_resize"`
	Size          Size      `json:"size"`
	Resample      Filter    `json:"resample"`
	DoCenterCrop  bool      `json:"do_center_crop"`
	CropSize      Size      `json:"crop_size,omitzero"`
	DoRescale     bool      `json:"do_rescale"`
	RescaleFactor float64   `json:"rescale_factor"`
	DoNormalize   bool      `json:"do_normalize"`
	ImageMean     []float64 `json:"image_mean"` // one per channel: a single one makes images gray
	ImageStd      []float64 `json:"image_std"`
}

// Size is a size in pixels: either Height and Width, or ShortestEdge, which
// keeps the aspect ratio.
type Size struct {
	Height       int `json:"height,omitempty"`
	Width        int `json:"width,omitempty"`
	ShortestEdge int `json:"shortest_edge,omitempty"`
}

// ViTPreprocess is the preprocessing of google/vit-*: resize to size×size by
// bilinear interpolation, then map pixels to [-1, 1].
func ViTPreprocess(size int) Preprocess {
	return Preprocess{
		Type:          "ViTImageProcessor",
		DoConvertRGB:  true,
		DoResize:      true,
		Size:          Size{Height: size, Width: size},
		Resample:      Bilinear,
		DoRescale:     true,
		RescaleFactor: 1. / 255,
		DoNormalize:   true,
		ImageMean:     []float64{0.5, 0.5, 0.5},
		ImageStd:      []float64{0.5, 0.5, 0.5},
	}
}

// CLIPPreprocess is the preprocessing of openai/clip-*: resize the shorter edge
// to size by bicubic interpolation, crop the central square, and normalize by
// CLIP's mean and deviation (arXiv:2103.00020).
func CLIPPreprocess(size int) Preprocess {
	return Preprocess{
		Type:          "CLIPImageProcessor",
		DoConvertRGB:  true,
		DoResize:      true,
		Size:          Size{ShortestEdge: size},
		Resample:      Bicubic,
		DoCenterCrop:  true,
		CropSize:      Size{Height: size, Width: size},
		DoRescale:     true,
		RescaleFactor: 1. / 255,
		DoNormalize:   true,
		ImageMean:     []float64{0.48145466, 0.4578275, 0.40821073},
		ImageStd:      []float64{0.26862954, 0.26130258, 0.27577711},
	}
}

// TimmPreprocess is timm's evaluation transform for weights like
// vit_base_patch16_224.augreg: resize the shorter edge to ⌊size/cropPct⌋ by
// bicubic interpolation, crop the central square of size pixels, and map pixels
// to [-1, 1]. cropPct is in (0, 1]. An odd margin is halved downwards, where
// timm rounds to even.
func TimmPreprocess(size int, cropPct float64) Preprocess {
	p := CLIPPreprocess(size)
	p.Size.ShortestEdge = int(float64(size) / cropPct)
	p.ImageMean = []float64{0.5, 0.5, 0.5}
	p.ImageStd = []float64{0.5, 0.5, 0.5}
	return p
}

// Output is the size in pixels of what Apply returns.
func (p Preprocess) Output() (w, h int) {
	if p.DoCenterCrop {
		return p.CropSize.Width, p.CropSize.Height
	}
	return p.Size.Width, p.Size.Height
}

// Channels is the number of channels of what Apply returns: 1 (gray) or 3 (RGB).
func (p Preprocess) Channels() int { return len(p.ImageMean) }

// maxSide keeps the products of sizes far from overflow.
const maxSide = 1 << 16

// Validate reports every fault of p at once. Images must all get one size: a
// shortest edge needs a center crop.
func (p Preprocess) Validate() error {
	var faults faults
	positive := func(name string, v int) {
		faults.unless(v > 0 && v <= maxSide, "%s is %d, want 1 to %d pixels", name, v, maxSide)
	}
	switch s := p.Size; {
	case s.ShortestEdge != 0:
		positive("size.shortest_edge", s.ShortestEdge)
		faults.unless(s.Height == 0 && s.Width == 0, "size has both a shortest edge and height or width")
		faults.unless(p.DoCenterCrop, "size.shortest_edge without do_center_crop gives images of different sizes")
	case p.DoResize || !p.DoCenterCrop:
		positive("size.height", s.Height)
		positive("size.width", s.Width)
	}
	if p.DoCenterCrop {
		positive("crop_size.height", p.CropSize.Height)
		positive("crop_size.width", p.CropSize.Width)
		faults.unless(p.CropSize.ShortestEdge == 0, "crop_size has a shortest edge, want height and width")
	}
	faults.unless(p.Resample >= Nearest && p.Resample <= BoxFilter, "resample is %d, want 0 (nearest), 1 (Lanczos), 2 (bilinear), 3 (bicubic) or 4 (box)", int(p.Resample))
	faults.unless(!p.DoRescale || positiveFinite(p.RescaleFactor), "rescale_factor is %g, want a positive number", p.RescaleFactor)
	C := len(p.ImageMean)
	faults.unless(C == 1 || C == 3, "image_mean has %d values, want 1 (gray) or 3 (RGB)", C)
	faults.unless(len(p.ImageStd) == C, "image_std has %d values and image_mean %d", len(p.ImageStd), C)
	faults.unless(!p.DoConvertRGB || C != 1, "do_convert_rgb contradicts the single value in image_mean")
	for i, v := range p.ImageMean {
		faults.unless(!math.IsNaN(v) && !math.IsInf(v, 0), "image_mean[%d] is %g, want a number", i, v)
	}
	for i, v := range p.ImageStd {
		faults.unless(positiveFinite(v), "image_std[%d] is %g, want a positive number", i, v)
	}
	return errors.Wrap(faults.err(), "data: preprocessing")
}

func positiveFinite(v float64) bool { return v > 0 && !math.IsInf(v, 0) }

// Apply converts im to gray or RGB, resizes and crops it. The pixels are those
// of Pillow. A crop larger than the image is filled up with black. im is not
// modified, and may be returned if nothing was to be done. It is an error if
// p or im is not valid, or if p does not resize and im has another size.
func (p Preprocess) Apply(im *Image) (*Image, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := im.Validate(); err != nil {
		return nil, err
	}
	if p.Channels() == 1 {
		im = im.Gray()
	} else {
		im = im.RGB()
	}
	w, h := im.W, im.H
	if p.DoResize {
		w, h = p.Size.of(im)
	}
	cw, ch := p.Output()
	if !p.DoCenterCrop && (w != cw || h != ch) {
		return nil, errors.Errorf("data: image has %d×%d pixels, want %d×%d, and do_resize is off", w, h, cw, ch)
	}
	// Only what the crop keeps is computed.
	win := window{X: max(w-cw, 0) / 2, Y: max(h-ch, 0) / 2, W: min(w, cw), H: min(h, ch)}
	out, err := resizeWindow(im, w, h, win, p.Resample)
	if err != nil {
		return nil, err
	}
	if win.W == cw && win.H == ch {
		return out, nil
	}
	// As in the original, the larger half of an odd margin comes first.
	padded := NewImage(cw, ch, out.C)
	padded.draw(out, (cw-win.W+1)/2, (ch-win.H+1)/2)
	return padded, nil
}

// of is the size im gets: with a shortest edge, the longer one is rounded down.
func (s Size) of(im *Image) (w, h int) {
	switch e := s.ShortestEdge; {
	case e == 0:
		return s.Width, s.Height
	case im.W <= im.H:
		return e, e * im.H / im.W
	default:
		return e * im.W / im.H, e
	}
}

// Normalize writes the pixels of im to dst as (C, H, W) in float32: each times
// the rescale factor, minus the mean, divided by the deviation of its channel,
// as far as p asks for it. It is an error if dst has another length than im, or
// im other channels than p.
func (p Preprocess) Normalize(dst []float32, im *Image) error {
	if err := im.Validate(); err != nil {
		return err
	}
	C := im.C
	if C != p.Channels() || len(p.ImageStd) != C {
		return errors.Errorf("data: image has %d channels, image_mean %d and image_std %d", C, len(p.ImageMean), len(p.ImageStd))
	}
	if len(dst) != len(im.Pix) {
		return errors.Errorf("data: image of %d×%d×%d does not fit %d values", im.W, im.H, C, len(dst))
	}
	n := im.W * im.H
	for c := range C {
		table := p.table(c)
		plane := dst[c*n:][:n]
		for i := range plane {
			plane[i] = table[im.Pix[i*C+c]]
		}
	}
	return nil
}

// table maps the levels of a channel. Like numpy, it rescales in double and
// normalizes in single precision.
func (p Preprocess) table(c int) (t [256]float32) {
	for i := range t {
		v := float64(i)
		if p.DoRescale {
			v *= p.RescaleFactor
		}
		t[i] = float32(v)
		if p.DoNormalize {
			t[i] = (t[i] - float32(p.ImageMean[c])) / float32(p.ImageStd[c])
		}
	}
	return t
}
