package data

import (
	"bytes"
	"fmt"
	"math"
	"testing"
)

var filters = []Filter{Nearest, Lanczos, Bilinear, Bicubic, BoxFilter}

// resize is Resize for sizes known to be right.
func resize(t testing.TB, im *Image, w, h int, f Filter) *Image {
	t.Helper()
	out, err := Resize(im, w, h, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Validate(); err != nil {
		t.Fatal(err)
	}
	if out.W != w || out.H != h || out.C != im.C {
		t.Fatalf("resized to %d×%d×%d, want %d×%d×%d", out.W, out.H, out.C, w, h, im.C)
	}
	return out
}

// Lines small enough to work out by hand.
func TestResizeByHand(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to []uint8
		f        Filter
	}{
		{"bilinear twice the size", []uint8{0, 255}, []uint8{0, 64, 191, 255}, Bilinear},
		{"nearest twice the size", []uint8{10, 20, 30}, []uint8{10, 10, 20, 20, 30, 30}, Nearest},
		{"nearest half the size", []uint8{10, 20, 30, 40}, []uint8{20, 40}, Nearest},
		{"box half the size", []uint8{10, 21, 30, 40}, []uint8{16, 35}, BoxFilter},
		{"bilinear half the size", []uint8{0, 0, 80, 80}, []uint8{11, 69}, Bilinear},
		// Weights (-0.0703125, 0.8671875, 0.2265625, -0.0234375), and those in
		// reverse: beyond an edge they are left out.
		{"bicubic overshoot is clipped", []uint8{0, 0, 255, 255}, []uint8{0, 0, 0, 52, 203, 255, 255, 255}, Bicubic},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row := &Image{W: len(tt.from), H: 1, C: 1, Pix: tt.from}
			if got := resize(t, row, len(tt.to), 1, tt.f).Pix; !bytes.Equal(got, tt.to) {
				t.Errorf("row %v, want %v", got, tt.to)
			}
			column := &Image{W: 1, H: len(tt.from), C: 1, Pix: tt.from}
			if got := resize(t, column, 1, len(tt.to), tt.f).Pix; !bytes.Equal(got, tt.to) {
				t.Errorf("column %v, want %v", got, tt.to)
			}
		})
	}
}

func TestResizeKeepsFlatColor(t *testing.T) {
	flat := NewImage(7, 5, 3)
	for i := range flat.Pix {
		flat.Pix[i] = []uint8{255, 1, 128}[i%3]
	}
	for _, f := range filters {
		for _, size := range [][2]int{{1, 1}, {7, 5}, {3, 11}, {20, 2}, {64, 64}} {
			out := resize(t, flat, size[0], size[1], f)
			for i, v := range out.Pix {
				if want := flat.Pix[i%3]; v != want {
					t.Fatalf("filter %d, %v: value %d is %d, want %d", f, size, i, v, want)
				}
			}
		}
	}
}

func TestResizeToSameSizeChangesNothing(t *testing.T) {
	for _, c := range []int{1, 3} {
		im := noise(9, 4, c, 1)
		for _, f := range filters {
			if !same(resize(t, im, 9, 4, f), im) {
				t.Errorf("filter %d changed an image of %d channels", f, c)
			}
		}
	}
}

// A gray image resizes as each channel of its RGB version does, and the passes
// do not touch their input.
func TestResizeChannelsAgree(t *testing.T) {
	gray := noise(23, 17, 1, 2)
	before := gray.Clone()
	for _, f := range filters {
		for _, size := range [][2]int{{5, 40}, {40, 5}, {11, 9}, {46, 34}} {
			want := resize(t, gray, size[0], size[1], f).RGB()
			if !same(resize(t, gray.RGB(), size[0], size[1], f), want) {
				t.Errorf("filter %d, %v: gray and RGB differ", f, size)
			}
		}
	}
	if !same(gray, before) {
		t.Error("input was modified")
	}
}

func TestResizeWindowIsPartOfWhole(t *testing.T) {
	im := noise(31, 19, 3, 3)
	for _, f := range filters {
		for _, size := range [][2]int{{31, 50}, {50, 19}, {12, 8}, {90, 77}, {31, 19}} {
			whole := resize(t, im, size[0], size[1], f)
			for _, win := range []window{{0, 0, 1, 1}, {3, 2, 8, 5}, {size[0] - 4, size[1] - 7, 4, 7}} {
				got, err := resizeWindow(im, size[0], size[1], win, f)
				if err != nil {
					t.Fatal(err)
				}
				if !same(got, crop(whole, win)) {
					t.Errorf("filter %d, %v: window %v differs", f, size, win)
				}
			}
		}
	}
}

// Against the definition in floating point, without rounding in between: each
// pass adds at most half a level of error, and clipping between the passes the
// overshoot of the first.
func TestResizeBilinearMatchesDefinition(t *testing.T) {
	im := noise(29, 21, 1, 4)
	const w, h = 10, 35
	out := resize(t, im, w, h, Bilinear)
	weights := func(in, size, i int) []float64 {
		scale := float64(in) / float64(size)
		wide, sum, all := math.Max(scale, 1), 0.0, make([]float64, in)
		for x := range all {
			all[x] = math.Max(0, 1-math.Abs(float64(x)+0.5-(float64(i)+0.5)*scale)/wide)
			sum += all[x]
		}
		for x := range all {
			all[x] /= sum
		}
		return all
	}
	for y := range h {
		for x := range w {
			want := 0.0
			wx, wy := weights(im.W, w, x), weights(im.H, h, y)
			for i, v := range im.Pix {
				want += wx[i%im.W] * wy[i/im.W] * float64(v)
			}
			if got := float64(out.Pix[y*w+x]); math.Abs(got-want) > 1.01 {
				t.Fatalf("(%d, %d) is %g, want %g", x, y, got, want)
			}
		}
	}
}

func TestResizeRefuses(t *testing.T) {
	im := noise(4, 4, 3, 1)
	for _, tt := range []struct {
		name string
		im   *Image
		w, h int
		f    Filter
	}{
		{"no width", im, 0, 4, Bilinear},
		{"negative height", im, 4, -1, Bicubic},
		{"unknown filter", im, 2, 2, 5},
		{"negative filter", im, 2, 2, -1},
		{"empty image", NewImage(0, 0, 3), 2, 2, Bilinear},
		{"no image", nil, 2, 2, Nearest},
	} {
		if out, err := Resize(tt.im, tt.w, tt.h, tt.f); err == nil {
			t.Errorf("%s: got %v, want an error", tt.name, out)
		}
	}
	for _, win := range []window{{0, 0, 9, 1}, {8, 0, 1, 1}, {-1, 0, 2, 2}, {0, 0, 0, 1}, {0, math.MaxInt, 1, 1}} {
		if _, err := resizeWindow(im, 8, 8, win, Bilinear); err == nil {
			t.Errorf("window %v: no error", win)
		}
	}
}

func BenchmarkResize(b *testing.B) {
	im := noise(500, 375, 3, 1)
	for _, f := range []Filter{Bilinear, Bicubic} {
		b.Run(fmt.Sprintf("from=500x375/to=224/resample=%d", f), func(b *testing.B) {
			for b.Loop() {
				resize(b, im, 224, 224, f)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
