package data

import (
	"math"
	"math/rand/v2"
)

// ColorJitter changes brightness, contrast, saturation and hue in random order.
// The first three are multiplied by factors uniform in [max(0, 1-v), 1+v], v ≥
// 0, in the sense of Pillow's ImageEnhance; the hue turns by a uniform part of
// a circle in [-hue, hue], 0 ≤ hue ≤ 0.5. Gray images have neither saturation
// nor hue.
func ColorJitter(brightness, contrast, saturation, hue float64) Augment {
	factor := func(v float64, r *rand.Rand) float64 {
		v = confine(v, 0, 1e3)
		return uniform(max(0, 1-v), 1+v, r)
	}
	hue = confine(hue, 0, 0.5)
	return func(im *Image, r *rand.Rand) *Image {
		b, c, s := factor(brightness, r), factor(contrast, r), factor(saturation, r)
		turn := uniform(-hue, hue, r)
		steps := [4]func(*Image) *Image{
			func(im *Image) *Image { return adjustBrightness(im, b) },
			func(im *Image) *Image { return adjustContrast(im, c) },
			func(im *Image) *Image { return adjustSaturation(im, s) },
			func(im *Image) *Image { return adjustHue(im, turn) },
		}
		for _, i := range r.Perm(len(steps)) {
			im = steps[i](im)
		}
		return im
	}
}

// The factors of the following four lead away from a degenerate image (black,
// flat gray, gray, blurred) at 0 through the original at 1 and beyond.

func adjustBrightness(im *Image, factor float64) *Image {
	return mapLevels(im, func(v int) float64 { return factor * float64(v) })
}

func adjustContrast(im *Image, factor float64) *Image {
	if len(im.Pix) == 0 {
		return im
	}
	sum, gray := 0, im.Gray()
	for _, v := range gray.Pix {
		sum += int(v)
	}
	mean := math.Round(float64(sum) / float64(len(gray.Pix)))
	return mapLevels(im, func(v int) float64 { return mean + factor*(float64(v)-mean) })
}

func adjustSaturation(im *Image, factor float64) *Image {
	if im.C == 1 {
		return im
	}
	return away(im.Gray().RGB(), im, factor)
}

func adjustSharpness(im *Image, factor float64) *Image {
	smooth := im.Clone() // borders stay
	n := im.W * im.C
	for y := 1; y < im.H-1; y++ {
		for i := y*n + im.C; i < (y+1)*n-im.C; i++ {
			sum := 4 * int(im.Pix[i]) // the center counts five times
			for _, row := range [3]int{i - n, i, i + n} {
				sum += int(im.Pix[row-im.C]) + int(im.Pix[row]) + int(im.Pix[row+im.C])
			}
			smooth.Pix[i] = uint8((sum + 6) / 13)
		}
	}
	return away(smooth, im, factor)
}

// away returns from + factor (im - from).
func away(from, im *Image, factor float64) *Image {
	out := NewImage(im.W, im.H, im.C)
	for i, v := range im.Pix {
		d := float64(from.Pix[i])
		out.Pix[i] = level(d + factor*(float64(v)-d))
	}
	return out
}

// adjustHue turns the colors by a part of the circle, in HSV.
func adjustHue(im *Image, turn float64) *Image {
	if im.C == 1 || turn == 0 {
		return im
	}
	out := NewImage(im.W, im.H, 3)
	for i := 0; i < len(im.Pix); i += 3 {
		r, g, b := float64(im.Pix[i]), float64(im.Pix[i+1]), float64(im.Pix[i+2])
		v, low := max(r, g, b), min(r, g, b)
		d := v - low
		if d == 0 {
			copy(out.Pix[i:], im.Pix[i:i+3])
			continue
		}
		var h float64 // in sixths of the circle
		switch v {
		case r:
			h = (g - b) / d
		case g:
			h = 2 + (b-r)/d
		default:
			h = 4 + (r-g)/d
		}
		h += 6 * turn
		for k, shift := range [3]float64{5, 3, 1} {
			t := math.Mod(h+shift+12, 6)
			out.Pix[i+k] = level(v - d*max(0, min(t, 4-t, 1)))
		}
	}
	return out
}

// posterize keeps the upper bits of each level.
func posterize(im *Image, bits int) *Image {
	mask := 0xff << (8 - bits)
	return mapLevels(im, func(v int) float64 { return float64(v & mask) })
}

// solarize inverts levels from the threshold on.
func solarize(im *Image, threshold float64) *Image {
	return mapLevels(im, func(v int) float64 {
		if float64(v) < threshold {
			return float64(v)
		}
		return float64(255 - v)
	})
}

// autocontrast stretches each channel to the full range.
func autocontrast(im *Image) *Image {
	return mapChannels(im, func(counts *[256]int) (t [256]uint8) {
		lo, hi := 0, 255
		for lo < 255 && counts[lo] == 0 {
			lo++
		}
		for hi > 0 && counts[hi] == 0 {
			hi--
		}
		for v := range t {
			t[v] = uint8(v)
			if hi > lo {
				t[v] = level(float64(v-lo) * 255 / float64(hi-lo))
			}
		}
		return t
	})
}

// equalize flattens each channel's histogram by the rule of Pillow's ImageOps.
func equalize(im *Image) *Image {
	return mapChannels(im, func(counts *[256]int) (t [256]uint8) {
		total, last := 0, 0
		for _, n := range counts {
			total += n
			if n > 0 {
				last = n
			}
		}
		step := (total - last) / 255
		n := step / 2
		for v := range t {
			t[v] = uint8(v)
			if step > 0 {
				t[v] = uint8(min(n/step, 255))
			}
			n += counts[v]
		}
		return t
	})
}

// mapLevels applies f to every level.
func mapLevels(im *Image, f func(v int) float64) *Image {
	var t [256]uint8
	for v := range t {
		t[v] = level(f(v))
	}
	out := NewImage(im.W, im.H, im.C)
	for i, v := range im.Pix {
		out.Pix[i] = t[v]
	}
	return out
}

// mapChannels applies to each channel a table made from its histogram.
func mapChannels(im *Image, table func(counts *[256]int) [256]uint8) *Image {
	out := NewImage(im.W, im.H, im.C)
	for c := range im.C {
		var counts [256]int
		for i := c; i < len(im.Pix); i += im.C {
			counts[im.Pix[i]]++
		}
		t := table(&counts)
		for i := c; i < len(im.Pix); i += im.C {
			out.Pix[i] = t[im.Pix[i]]
		}
	}
	return out
}

// level rounds to a level, confined to what a byte holds.
func level(v float64) uint8 { return uint8(confine(v, 0, 255) + 0.5) }
