package data

import (
	"math/rand/v2"

	"github.com/pkg/errors"
)

// Images is the input "image" (B, C, H, W): the example's image, augmented and
// preprocessed. A nil augmentation leaves images as they are.
func Images(p Preprocess, augment Augment) Input {
	w, h := p.Output()
	return Input{
		Name:  "image",
		Shape: []int{p.Channels(), h, w},
		Fill: func(ex Example, r *rand.Rand, row []float32) error {
			im := ex.Image
			if augment != nil {
				im = augment(im, r)
			}
			im, err := p.Apply(im)
			if err != nil {
				return err
			}
			return p.Normalize(row, im)
		},
	}
}

// Labels is the input "label" (B, K): the probability of each of K classes,
// which is (1-smoothing)·1[k = label] + smoothing/K (arXiv:1512.00567, 7). Use
// no smoothing where the loss is to be measured.
func Labels(classes int, smoothing float64) Input {
	return Input{
		Name:  "label",
		Shape: []int{classes},
		Fill: func(ex Example, _ *rand.Rand, row []float32) error {
			if !(smoothing >= 0 && smoothing <= 1) {
				return errors.Errorf("data: label smoothing is %g, want 0 to 1", smoothing)
			}
			if ex.Label < 0 || ex.Label >= classes {
				return errors.Errorf("data: label %d, want 0 to %d", ex.Label, classes-1)
			}
			share := smoothing / float64(classes)
			for k := range row {
				row[k] = float32(share)
			}
			row[ex.Label] = float32(1 - smoothing + share)
			return nil
		},
	}
}
