package main

import (
	"math/rand/v2"

	"tessera/train/data"
)

// augmentations are the names that --augment takes.
var augmentations = []string{"none", "flip", "shift", "crop", "color", "randaug"}

// augmentation composes the named changes in order, followed by erasing with
// probability erase. The images that a model of the given side sees are cut out
// by "crop". Nil means no change.
func augmentation(names []string, erase float64, side int) (data.Augment, error) {
	var steps []data.Augment
	for _, name := range names {
		switch name {
		case "none":
			if len(names) > 1 {
				return nil, usagef("--augment none goes with no other")
			}
		case "flip":
			steps = append(steps, data.HorizontalFlip(0.5))
		case "shift":
			// An eighth of the side, which is 4 pixels for 32.
			steps = append(steps, func(im *data.Image, r *rand.Rand) *data.Image {
				return data.RandomShift(max(1, min(im.W, im.H)/8), data.PadZero)(im, r)
			})
		case "crop":
			steps = append(steps, data.RandomResizedCrop(side, [2]float64{0.08, 1}, [2]float64{3. / 4, 4. / 3}, data.Bilinear))
		case "color":
			steps = append(steps, data.ColorJitter(0.4, 0.4, 0.4, 0.1))
		case "randaug":
			steps = append(steps, data.RandAugment(2, 9))
		default:
			return nil, unknown("augmentation", name, augmentations)
		}
	}
	if erase > 0 {
		steps = append(steps, data.RandomErasing(erase, [2]float64{0.02, 0.4}, [2]float64{0.3, 1 / 0.3}))
	}
	if len(steps) == 0 {
		return nil, nil
	}
	return data.Compose(steps...), nil
}
