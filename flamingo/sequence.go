package flamingo

import (
	"math"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
)

// Image is what a vision tower makes of an image, or of the frames of a film.
type Image struct {
	Frames  int       // F
	Patches []float32 // (F, N, E)
}

// Sequence is a text with images in it.
type Sequence struct {
	IDs    []int   // with a media token for every image
	Images []Image // in the order of those
	Learn  []bool  // tokens to be predicted in training; nil: all but media tokens and padding
}

// Check tells whether the sequence is one for the model: every media token has
// its image and every image is one.
func (c Config) Check(s Sequence) error {
	media := 0
	for i, id := range s.IDs {
		if id < 0 || id >= c.Vocabulary() {
			return errors.Errorf("flamingo: token %d is %d, want 0 to %d", i, id, c.Vocabulary()-1)
		}
		if id == c.Media {
			media++
		}
	}
	if media != len(s.Images) {
		return errors.Errorf("flamingo: %d media tokens for %d images, want one before what is said of each", media, len(s.Images))
	}
	if s.Learn != nil && len(s.Learn) != len(s.IDs) {
		return errors.Errorf("flamingo: %d marks for %d tokens", len(s.Learn), len(s.IDs))
	}
	if most := c.Resampler.MaxImages; most > 0 && media > most {
		return errors.Errorf("flamingo: %d images, want at most %d", media, most)
	}
	for i, im := range s.Images {
		n := im.Frames * c.Vision
		switch most := c.Resampler.MaxFrames; {
		case im.Frames < 1:
			return errors.Errorf("flamingo: image %d has %d frames, want 1 or more", i, im.Frames)
		case most > 0 && im.Frames > most:
			return errors.Errorf("flamingo: image %d has %d frames, want at most %d", i, im.Frames, most)
		case len(im.Patches) == 0 || len(im.Patches)%n != 0:
			return errors.Errorf("flamingo: image %d has %d values, want %d frames of patches of %d", i, len(im.Patches), im.Frames, c.Vision)
		case c.Patches > 0 && len(im.Patches) != n*c.Patches:
			return errors.Errorf("flamingo: image %d has %d patches, want %d", i, len(im.Patches)/n, c.Patches)
		}
	}
	return nil
}

// patches is the number of patches of a frame.
func (c Config) patches(im Image) int { return len(im.Patches) / (im.Frames * c.Vision) }

// Shape is that of a batch of sequences.
type Shape struct {
	Tokens  int  // L
	Images  int  // T
	Frames  int  // F
	Patches int  // N, of a frame
	Padded  bool // some images have fewer frames or patches
}

// Shape is the least one that the sequences fit, with at least one image.
func (c Config) Shape(sequences []Sequence) Shape {
	s := Shape{Images: 1, Frames: 1, Patches: 1}
	first := true
	for _, q := range sequences {
		s.Tokens, s.Images = max(s.Tokens, len(q.IDs)), max(s.Images, len(q.Images))
		for _, im := range q.Images {
			n := c.patches(im)
			s.Padded = s.Padded || !first && (im.Frames != s.Frames || n != s.Patches)
			s.Frames, s.Patches, first = max(s.Frames, im.Frames), max(s.Patches, n), false
		}
	}
	return s
}

// Batch makes of sequences the inputs of a shape they fit: "ids", "time" and
// "target" (B, L), "patches" (B, T, F, N, E) and, where padded, "mask"
// (B, T, F·N). Texts are padded on the right, where no token sees it.
func (c Config) Batch(sequences []Sequence, s Shape) (graph.Values, error) {
	B, E := len(sequences), c.Vision
	ids, time, target := make([]float32, B*s.Tokens), make([]float32, B*s.Tokens), make([]float32, B*s.Tokens)
	patches := make([]float32, B*s.Images*s.Frames*s.Patches*E)
	mask := make([]float32, B*s.Images*s.Frames*s.Patches)
	for i, q := range sequences {
		if err := c.Check(q); err != nil {
			return nil, errors.WithMessagef(err, "sequence %d", i)
		}
		if len(q.IDs) > s.Tokens || len(q.Images) > s.Images {
			return nil, errors.Errorf("flamingo: sequence %d has %d tokens and %d images, want at most %d and %d",
				i, len(q.IDs), len(q.Images), s.Tokens, s.Images)
		}
		row := i * s.Tokens
		c.fillTokens(q, ids[row:row+s.Tokens], time[row:row+s.Tokens], target[row:row+s.Tokens])
		for j := range s.Images {
			n := s.Frames * s.Patches
			at := (i*s.Images + j) * n
			var im Image
			if j < len(q.Images) {
				im = q.Images[j]
			}
			if err := c.fillImage(im, s, patches[at*E:(at+n)*E], mask[at:at+n]); err != nil {
				return nil, errors.WithMessagef(err, "sequence %d: image %d", i, j)
			}
		}
	}
	text := func(v []float32) *tensor.Dense {
		return tensor.New(tensor.WithShape(B, s.Tokens), tensor.WithBacking(v))
	}
	values := graph.Values{
		"ids": text(ids), "time": text(time), "target": text(target),
		"patches": tensor.New(tensor.WithShape(B, s.Images, s.Frames, s.Patches, E), tensor.WithBacking(patches)),
	}
	if s.Padded {
		values["mask"] = tensor.New(tensor.WithShape(B, s.Images, s.Frames*s.Patches), tensor.WithBacking(mask))
	}
	return values, nil
}

// fillTokens writes a row of ids, of the number of images up to each, and of
// what follows each: the next token if it is to be learned, else −1.
func (c Config) fillTokens(q Sequence, ids, time, target []float32) {
	seen := 0
	for j := range ids {
		target[j] = -1
		if j < len(q.IDs) {
			ids[j] = float32(q.IDs[j])
			if q.IDs[j] == c.Media {
				seen++
			}
			if next := j + 1; next < len(q.IDs) && c.learned(q, next) {
				target[j] = float32(q.IDs[next])
			}
		} else if c.Padding != NoToken {
			ids[j] = float32(c.Padding)
		}
		time[j] = float32(seen)
	}
}

func (c Config) learned(q Sequence, i int) bool {
	return q.IDs[i] != c.Media && q.IDs[i] != c.Padding && (q.Learn == nil || q.Learn[i])
}

// fillImage writes the patches of an image and −∞ where there are none. An image
// that is missing is seen by nobody and has nothing to mask.
func (c Config) fillImage(im Image, s Shape, patches, mask []float32) error {
	if im.Frames == 0 {
		return nil
	}
	n := c.patches(im)
	if im.Frames > s.Frames || n > s.Patches || !s.Padded && (im.Frames != s.Frames || n != s.Patches) {
		return errors.Errorf("flamingo: %d frames of %d patches, want %d of %d", im.Frames, n, s.Frames, s.Patches)
	}
	for i := range mask {
		mask[i] = float32(math.Inf(-1))
	}
	width := n * c.Vision
	for f, frame := range slices.Collect(slices.Chunk(im.Patches, width)) {
		copy(patches[f*s.Patches*c.Vision:], frame)
		clear(mask[f*s.Patches : f*s.Patches+n])
	}
	return nil
}
