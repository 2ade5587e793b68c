package data

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestShapesDeterministic(t *testing.T) {
	s := Shapes{N: 50, Size: 24, Seed: 3}
	for i := range s.N {
		a, err := s.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		// Neither the number of examples nor the order of access matters.
		b, err := Shapes{N: 1000, Size: 24, Seed: 3}.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("example %d differs the second time", i)
		}
		c, _ := Shapes{N: 50, Size: 24, Seed: 4}.Example(i)
		if slices.Equal(a.Image.Pix, c.Image.Pix) {
			t.Errorf("example %d is the same with another seed", i)
		}
	}
	// The larger image shows the same.
	a, b := s.Spec(7), Shapes{N: 50, Size: 200, Seed: 3}.Spec(7)
	if a != b {
		t.Errorf("specs %+v and %+v differ by the size", a, b)
	}
}

func TestShapesAttributes(t *testing.T) {
	s := Shapes{N: 6000, Size: 16, Seed: 1}
	classes := s.Classes()
	if len(classes) != 30 || classes[0] != "red circle" || classes[29] != "purple star" {
		t.Fatalf("classes %q", classes)
	}
	labels, places := map[int]int{}, map[[2]int]int{}
	large := 0
	for i := range s.N {
		p := s.Spec(i)
		labels[p.label()]++
		places[[2]int{p.Row, p.Col}]++
		if p.Large {
			large++
		}
		if c := p.Caption(); !strings.Contains(c, classes[p.label()]) {
			t.Fatalf("caption %q of class %q", c, classes[p.label()])
		}
	}
	for k, n := range labels {
		if n < 140 || n > 260 {
			t.Errorf("%d examples of %s, want about 200", n, classes[k])
		}
	}
	for k, n := range places {
		if n < 560 || n > 780 {
			t.Errorf("%d examples at %v, want about 667", n, k)
		}
	}
	if len(labels) != 30 || len(places) != 9 || large < 2800 || large > 3200 {
		t.Errorf("%d classes, %d places, %d of %d large", len(labels), len(places), large, s.N)
	}
}

func TestCaption(t *testing.T) {
	for _, tt := range []struct {
		spec ShapeSpec
		want string
	}{
		{ShapeSpec{}, "a small red circle at the top left"},
		{ShapeSpec{Pair: Pair{4, 4}, Large: true, Row: 1, Col: 1}, "a large blue star in the center"},
		{ShapeSpec{Pair: Pair{1, 2}, Row: 1, Col: 2}, "a small orange triangle on the right"},
		{ShapeSpec{Pair: Pair{5, 3}, Large: true, Row: 2, Col: 1}, "a large purple cross at the bottom"},
	} {
		if got := tt.spec.Caption(); got != tt.want {
			t.Errorf("%+v is %q, want %q", tt.spec, got, tt.want)
		}
	}
}

// At every size the shape is inside the image, in the third its caption says,
// and its box holds what differs from the background, tightly.
func TestShapesBoxes(t *testing.T) {
	for _, size := range []int{16, 33, 64} {
		s := Shapes{N: 200, Size: size, Seed: 5}
		for i := range s.N {
			ex, err := s.Example(i)
			if err != nil {
				t.Fatal(err)
			}
			spec, box := s.Spec(i), ex.Boxes[0]
			if box.X0 < 0 || box.Y0 < 0 || box.X1 > size || box.Y1 > size || box.X1-box.X0 < 3 || box.Y1-box.Y0 < 3 {
				t.Fatalf("size %d: box %+v", size, box)
			}
			if box.Name != s.Classes()[ex.Label] || ex.Caption != spec.Caption() || ex.Image.W != size || ex.Image.H != size {
				t.Fatalf("example %+v of class %s", ex, s.Classes()[ex.Label])
			}
			bare := spec
			bare.RGB = [3]float64{}
			other, _ := bare.Draw(size)
			found := Box{X0: size, Y0: size, Name: box.Name}
			for y := range size {
				for x := range size {
					at := (y*size + x) * 3
					if slices.Equal(ex.Image.Pix[at:at+3], other.Pix[at:at+3]) {
						continue
					}
					found.X0, found.Y0 = min(found.X0, x), min(found.Y0, y)
					found.X1, found.Y1 = max(found.X1, x+1), max(found.Y1, y+1)
				}
			}
			// The faintest edge may round to the background.
			for _, d := range []int{found.X0 - box.X0, found.Y0 - box.Y0, box.X1 - found.X1, box.Y1 - found.Y1} {
				if d < 0 || d > 1 {
					t.Fatalf("size %d, example %d: box %+v, but the shape covers %+v", size, i, box, found)
				}
			}
		}
	}
}

// The area covered is that of the geometric shape: edges are neither thick nor
// jagged.
func TestDrawArea(t *testing.T) {
	star := 5 * 0.42 * math.Sin(math.Pi/5)
	for kind, want := range []float64{math.Pi, 2, 3 * math.Sqrt(3) / 4, 4*0.6*0.95 - 0.36, star} {
		const size, r = 100, 0.3
		spec := ShapeSpec{Pair: Pair{0, kind}, X: 0.5, Y: 0.5, R: r, Angle: 0.2, RGB: [3]float64{0.8, 0.8, 0.8}}
		spec.Background = [2][3]float64{{0.2, 0.2, 0.2}, {0.2, 0.2, 0.2}}
		im, _ := spec.Draw(size)
		area := 0.0
		for i := 0; i < len(im.Pix); i += 3 {
			area += (float64(im.Pix[i])/255 - 0.2) / 0.6 / (r * r * size * size)
		}
		if math.Abs(area-want) > 0.02*want {
			t.Errorf("%s covers %.3f r², want %.3f", shapeKinds[kind], area, want)
		}
	}
}

func TestHSL(t *testing.T) {
	for _, tt := range []struct {
		h, s, l float64
		want    [3]float64
	}{
		{0, 1, 0.5, [3]float64{1, 0, 0}},
		{120, 1, 0.5, [3]float64{0, 1, 0}},
		{-120, 1, 0.5, [3]float64{0, 0, 1}},
		{60, 1, 0.25, [3]float64{0.5, 0.5, 0}},
		{200, 0, 0.7, [3]float64{0.7, 0.7, 0.7}},
	} {
		got := hsl(tt.h, tt.s, tt.l)
		for c := range got {
			if math.Abs(got[c]-tt.want[c]) > 1e-12 {
				t.Errorf("hsl(%g, %g, %g) = %v, want %v", tt.h, tt.s, tt.l, got, tt.want)
				break
			}
		}
	}
}

func TestHoldOut(t *testing.T) {
	for _, n := range []int{0, 1, 6, 12} {
		for seed := range uint64(20) {
			seen, held, err := HoldOut(n, seed)
			if err != nil {
				t.Fatal(err)
			}
			colors, kinds := map[int]int{}, map[int]int{}
			for _, p := range seen {
				colors[p.Color]++
				kinds[p.Kind]++
				if slices.Contains(held, p) {
					t.Errorf("%v is seen and held out", p)
				}
			}
			if len(held) != n || len(seen)+n != 30 {
				t.Errorf("%d seen and %d held out, want %d", len(seen), len(held), n)
			}
			for c := range 6 {
				if colors[c] < 2 || kinds[c%5] < 2 {
					t.Errorf("%d held out, seed %d: color %d or shape %d is hardly seen", n, seed, c, c%5)
				}
				if n == 6 && (colors[c] != 4 || kinds[c%5] < 4) {
					t.Errorf("seed %d: color %d is seen in %d pairs and shape %d in %d, want an even division", seed, c, colors[c], c%5, kinds[c%5])
				}
			}
		}
	}
	for _, n := range []int{-1, 19, 31} {
		if _, _, err := HoldOut(n, 1); err == nil {
			t.Errorf("%d pairs can be held out", n)
		}
	}
	seen, held, _ := HoldOut(6, 1)
	again, _, _ := HoldOut(6, 1)
	other, _, _ := HoldOut(6, 2)
	if !slices.Equal(seen, again) || slices.Equal(seen, other) {
		t.Error("the seed does not decide on the pairs")
	}
	drawn := map[Pair]bool{}
	s := Shapes{N: 500, Size: 16, Pairs: held}
	for i := range s.N {
		drawn[s.Spec(i).Pair] = true
		if !slices.Contains(held, s.Spec(i).Pair) {
			t.Fatalf("%v was not asked for", s.Spec(i).Pair)
		}
	}
	if len(drawn) != 6 {
		t.Errorf("%d pairs were drawn, want 6", len(drawn))
	}
}

func TestShapesValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Shapes
		want string
	}{
		{"no examples", Shapes{Size: 32}, "0 examples"},
		{"too small", Shapes{N: 1, Size: 15}, "images of 15 pixels, want 16 to 4096"},
		{"too large", Shapes{N: 1, Size: 5000}, "images of 5000 pixels"},
		{"no such pair", Shapes{N: 1, Size: 32, Pairs: []Pair{{0, 0}, {6, 0}}}, "no pair"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if ex, err := tt.s.Example(0); err == nil || !strings.Contains(err.Error(), tt.want) || ex.Name != "shapes/0" {
				t.Errorf("error %v of %q, want %q", err, ex.Name, tt.want)
			}
		})
	}
}
