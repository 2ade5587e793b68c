package data

import (
	"math"
	"math/rand/v2"
	"testing"
)

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// augments is one of each, as they would be used on w×h pixels.
func augments() map[string]Augment {
	return map[string]Augment{
		"flip":        HorizontalFlip(0.5),
		"shift":       RandomShift(3, PadZero),
		"shift, edge": RandomShift(3, PadEdge),
		"crop":        RandomResizedCrop(9, [2]float64{0.08, 1}, [2]float64{3. / 4, 4. / 3}, Bicubic),
		"jitter":      ColorJitter(0.4, 0.4, 0.4, 0.1),
		"rand":        RandAugment(2, 9),
		"erasing":     RandomErasing(0.5, [2]float64{0.02, 0.4}, [2]float64{0.3, 1 / 0.3}),
	}
}

func TestAugments(t *testing.T) {
	for name, augment := range augments() {
		for _, size := range [][3]int{{17, 11, 3}, {17, 11, 1}, {1, 1, 3}, {1, 30, 1}, {2, 2, 3}} {
			im := noise(size[0], size[1], size[2], 1)
			before := im.Clone()
			distinct := map[string]bool{}
			for seed := range uint64(50) {
				out := augment(im, rng(seed))
				if err := out.Validate(); err != nil || out.C != im.C {
					t.Fatalf("%s, %v: %d channels, %v", name, size, out.C, err)
				}
				if name != "crop" && (out.W != im.W || out.H != im.H) {
					t.Fatalf("%s, %v: size became %d×%d", name, size, out.W, out.H)
				}
				if !same(im, before) {
					t.Fatalf("%s, %v: input was modified", name, size)
				}
				if !same(augment(im, rng(seed)), out) {
					t.Fatalf("%s, %v: same seed, other bytes", name, size)
				}
				distinct[string(out.Pix)] = true
			}
			if size[0] == 17 && len(distinct) < 2 {
				t.Errorf("%s, %v: 50 seeds give one image", name, size)
			}
		}
	}
}

// No parameter makes a constructor or its augmentation panic.
func TestAugmentsWithSillyParameters(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for i, augment := range []Augment{
		HorizontalFlip(nan),
		RandomShift(-4, Padding(9)),
		RandomShift(100, PadEdge),
		RandomResizedCrop(-3, [2]float64{nan, inf}, [2]float64{0, -1}, Filter(77)),
		RandomResizedCrop(4, [2]float64{1, 0}, [2]float64{inf, inf}, Nearest),
		ColorJitter(-1, nan, inf, 99),
		RandAugment(-1, nan),
		RandAugment(3, 1e9),
		RandomErasing(inf, [2]float64{2, 3}, [2]float64{nan, nan}),
		Compose(),
	} {
		for seed := range uint64(20) {
			for _, c := range []int{1, 3} {
				if err := augment(noise(5, 4, c, 1), rng(seed)).Validate(); err != nil {
					t.Fatalf("row %d: %v", i, err)
				}
			}
		}
	}
}

func TestComposeRunsInOrder(t *testing.T) {
	add := func(v uint8) Augment {
		return func(im *Image, _ *rand.Rand) *Image {
			out := im.Clone()
			out.Pix[0] = out.Pix[0]*10 + v
			return out
		}
	}
	if got := Compose(add(1), add(2), Compose(add(3)))(NewImage(1, 1, 1), rng(1)).Pix[0]; got != 123 {
		t.Errorf("steps ran as %d, want 123", got)
	}
}

func TestHorizontalFlip(t *testing.T) {
	im := &Image{W: 3, H: 2, C: 1, Pix: []uint8("abcdef")}
	always := HorizontalFlip(1)
	if got := string(always(im, rng(1)).Pix); got != "cbafed" {
		t.Errorf("flipped to %q, want %q", got, "cbafed")
	}
	wide := noise(6, 5, 3, 1)
	if !same(always(always(wide, rng(1)), rng(2)), wide) {
		t.Error("two flips are not the identity")
	}
	for _, p := range []float64{0, 0.25, 1} {
		r, flips := rng(3), 0
		for range 2000 {
			if !same(HorizontalFlip(p)(im, r), im) {
				flips++
			}
		}
		if got := float64(flips) / 2000; math.Abs(got-p) > 0.04 {
			t.Errorf("flipped a share of %g, want %g", got, p)
		}
	}
}

func TestRandomShift(t *testing.T) {
	im := NewImage(7, 7, 1)
	for i := range im.Pix {
		im.Pix[i] = uint8(i + 1)
	}
	for _, pad := range []Padding{PadZero, PadEdge} {
		r, seen := rng(1), map[[2]int]int{}
		for range 2500 {
			out := RandomShift(2, pad)(im, r)
			center := int(out.Pix[3*7+3]) - 1 // never padding
			dx, dy := 3-center%7, 3-center/7
			seen[[2]int{dx, dy}]++
			for y := range 7 {
				for x := range 7 {
					sx, sy := x-dx, y-dy
					want := uint8(0)
					switch {
					case sx >= 0 && sx < 7 && sy >= 0 && sy < 7:
						want = im.Pix[sy*7+sx]
					case pad == PadEdge:
						want = im.Pix[min(max(sy, 0), 6)*7+min(max(sx, 0), 6)]
					}
					if got := out.Pix[y*7+x]; got != want {
						t.Fatalf("padding %d, shift (%d, %d): pixel (%d, %d) is %d, want %d", pad, dx, dy, x, y, got, want)
					}
				}
			}
		}
		if len(seen) != 25 {
			t.Errorf("%d shifts occur, want 25", len(seen))
		}
		for s, n := range seen {
			if n < 50 || n > 160 {
				t.Errorf("shift %v occurs %d times, want about 100", s, n)
			}
		}
	}
}

// An image whose red is x and green is y tells where its crops come from.
func TestRandomResizedCropStaysInRange(t *testing.T) {
	im := NewImage(200, 120, 3)
	for i := range im.W * im.H {
		im.Pix[3*i], im.Pix[3*i+1] = uint8(i%im.W), uint8(i/im.W)
	}
	scale, ratio := [2]float64{0.2, 0.5}, [2]float64{0.5, 2}
	augment := RandomResizedCrop(64, scale, ratio, Nearest)
	r := rng(1)
	var sum float64
	for range 500 {
		out := augment(im, r)
		first, last := out.Pix, out.Pix[len(out.Pix)-3:]
		// 64 samples at the centers of 64 equal parts span 63/64 of the crop.
		w := float64(int(last[0])-int(first[0])) * 64 / 63
		h := float64(int(last[1])-int(first[1])) * 64 / 63
		share := w * h / (200 * 120)
		sum += share
		if share < scale[0]-0.02 || share > scale[1]+0.02 {
			t.Errorf("crop of %.0f×%.0f pixels is a share of %.3f, want within %v", w, h, share, scale)
		}
		if w/h < ratio[0]-0.06 || w/h > ratio[1]+0.1 {
			t.Errorf("crop of %.0f×%.0f pixels has ratio %.3f, want within %v", w, h, w/h, ratio)
		}
	}
	if mean := sum / 500; mean < 0.31 || mean > 0.39 {
		t.Errorf("mean share is %.3f, want about 0.35", mean)
	}
}

func TestRandomResizedCropFallsBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		im   *Image
		want window
	}{
		{"too wide", NewImage(100, 4, 1), window{X: 47, Y: 0, W: 5, H: 4}},
		{"too tall", NewImage(4, 100, 1), window{X: 0, Y: 47, W: 4, H: 5}},
	} {
		ratio := [2]float64{3. / 4, 4. / 3}
		if win, ok := randomRect(tt.im, [2]float64{0.9, 1}, ratio, rng(1)); ok {
			t.Errorf("%s: found %v", tt.name, win)
		}
		if got := centralRect(tt.im, ratio); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRandomErasing(t *testing.T) {
	im := NewImage(40, 30, 3)
	for i := range im.Pix {
		im.Pix[i] = 100
	}
	augment := RandomErasing(0.3, [2]float64{0.1, 0.3}, [2]float64{0.5, 2})
	r, erased := rng(1), 0
	for range 1000 {
		out := augment(im, r)
		x0, y0, x1, y1 := im.W, im.H, -1, -1
		changed := 0
		for i := range im.W * im.H {
			p := out.Pix[3*i : 3*i+3]
			if p[0] == 100 && p[1] == 100 && p[2] == 100 {
				continue
			}
			changed++
			x0, x1 = min(x0, i%im.W), max(x1, i%im.W)
			y0, y1 = min(y0, i/im.W), max(y1, i/im.W)
		}
		if changed == 0 {
			continue
		}
		erased++
		area := (x1 - x0 + 1) * (y1 - y0 + 1)
		if changed < area-2 { // noise hits the old color now and then
			t.Fatalf("%d pixels changed in a rectangle of %d", changed, area)
		}
		if share := float64(area) / 1200; share < 0.08 || share > 0.33 {
			t.Fatalf("a share of %.3f was erased, want 0.1 to 0.3", share)
		}
	}
	if erased < 250 || erased > 350 {
		t.Errorf("erased %d of 1000 images, want about 300", erased)
	}
}
