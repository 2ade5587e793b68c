package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/pkg/errors"
)

// Attributes of a drawn shape, in the order in which specs count them.
var (
	shapeColors = [...]string{"red", "orange", "yellow", "green", "blue", "purple"}
	shapeKinds  = [...]string{"circle", "square", "triangle", "cross", "star"}
	shapeSizes  = [...]string{"small", "large"}
	shapePlaces = [...]string{
		"at the top left", "at the top", "at the top right",
		"on the left", "in the center", "on the right",
		"at the bottom left", "at the bottom", "at the bottom right",
	}
)

// Limits on the side of an image in pixels. Below the lower one shapes can hardly
// be told apart.
const (
	MinShapeSize = 16
	MaxShapeSize = 4096
)

// Pair is a color and a shape, given by their places in [ShapeColors] and
// [ShapeKinds].
type Pair struct{ Color, Kind int }

// ShapeColors returns the names of the colors.
func ShapeColors() []string { return slices.Clone(shapeColors[:]) }

// ShapeKinds returns the names of the shapes.
func ShapeKinds() []string { return slices.Clone(shapeKinds[:]) }

// Shapes is a data set that is drawn, not stored: every example is one colored
// shape on a soft background, with a caption such as "a small red circle at the
// top left" and a box around the shape. The class is the pair of color and
// shape, 30 in all, color by color. Example i depends on Seed, Size, Pairs and i
// alone; data sets of different seeds share no examples but by chance.
type Shapes struct {
	N     int // examples
	Size  int // pixels, square, MinShapeSize to MaxShapeSize
	Seed  uint64
	Pairs []Pair // to draw from with equal probability; empty: all
}

// Validate reports values out of range.
func (s Shapes) Validate() error {
	switch {
	case s.N < 1:
		return errors.Errorf("data: shapes: %d examples, want 1 or more", s.N)
	case s.Size < MinShapeSize || s.Size > MaxShapeSize:
		return errors.Errorf("data: shapes: images of %d pixels, want %d to %d", s.Size, MinShapeSize, MaxShapeSize)
	}
	for _, p := range s.Pairs {
		if p.Color < 0 || p.Color >= len(shapeColors) || p.Kind < 0 || p.Kind >= len(shapeKinds) {
			return errors.Errorf("data: shapes: no pair %v: colors go to %d and shapes to %d", p, len(shapeColors)-1, len(shapeKinds)-1)
		}
	}
	return nil
}

func (s Shapes) Len() int { return s.N }

// Classes names the pairs: "red circle".
func (s Shapes) Classes() []string {
	var names []string
	for c := range shapeColors {
		for k := range shapeKinds {
			names = append(names, Pair{c, k}.String())
		}
	}
	return names
}

func (p Pair) String() string { return shapeColors[p.Color] + " " + shapeKinds[p.Kind] }

// label is the pair's class.
func (p Pair) label() int { return p.Color*len(shapeKinds) + p.Kind }

// HoldOut divides all pairs at random into those to train with and n held out to
// test whether a model composes what it knows. Colors are held out as evenly as
// can be, and so are shapes, so that a seed does not decide how well each is
// known. Every color and every shape is seen in at least two pairs, which bounds
// n by 18, or less for some seeds: more is an error.
func HoldOut(n int, seed uint64) (seen, held []Pair, err error) {
	const least = 2
	const colors, kinds = len(shapeColors), len(shapeKinds)
	var ofColor [colors]int // pairs held out
	var ofKind [kinds]int
	order := stream(seed, forHoldout, 0, 0).Perm(colors * kinds)
	out := map[Pair]bool{}
	// Where an even division leads nowhere, a less even one is taken.
	for slack := 0; len(held) < n && slack < colors; slack++ {
		color := min((n+colors-1)/colors+slack, kinds-least)
		kind := min((n+kinds-1)/kinds+slack, colors-least)
		for _, i := range order {
			p := Pair{i / kinds, i % kinds}
			if len(held) < n && !out[p] && ofColor[p.Color] < color && ofKind[p.Kind] < kind {
				ofColor[p.Color]++
				ofKind[p.Kind]++
				out[p] = true
				held = append(held, p)
			}
		}
	}
	if n < 0 || len(held) < n {
		return nil, nil, errors.Errorf("data: shapes: cannot hold out %d of %d pairs, at most %d with this seed", n, len(order), len(held))
	}
	for _, i := range order {
		if p := (Pair{i / kinds, i % kinds}); !out[p] {
			seen = append(seen, p)
		}
	}
	return seen, held, nil
}

// ShapeSpec is what an image shows.
type ShapeSpec struct {
	Pair
	Large      bool
	Row, Col   int     // third of the image: 0 top or left, 1 center, 2 bottom or right
	X, Y       float64 // center, in image sides from the top left
	R          float64 // radius of the circle around the shape, in image sides
	Angle      float64 // radians, clockwise; at most 10° from upright
	RGB        [3]float64
	Background [2][3]float64 // RGB, 0 to 1, at the top left and the bottom right
	Noise      uint64        // seed of the grain
}

// Caption describes the spec in one phrase.
func (s ShapeSpec) Caption() string {
	size := shapeSizes[0]
	if s.Large {
		size = shapeSizes[1]
	}
	return fmt.Sprintf("a %s %s %s", size, s.Pair, shapePlaces[3*s.Row+s.Col])
}

// Spec returns what example i shows. Its attributes are drawn independently and
// uniformly, the details vary around them.
func (s Shapes) Spec(i int) ShapeSpec {
	r := stream(s.Seed, forShape, uint64(i), 0)
	var p ShapeSpec
	p.Pair = Pair{r.IntN(len(shapeColors)), r.IntN(len(shapeKinds))}
	if len(s.Pairs) > 0 {
		p.Pair = s.Pairs[r.IntN(len(s.Pairs))]
	}
	p.Large = r.IntN(2) == 1
	p.Row, p.Col = r.IntN(3), r.IntN(3)
	p.R = around(r, 0.2, 0.015)
	if p.Large {
		p.R = around(r, 0.3, 0.02)
	}
	p.X = place(p.Col, p.R) + around(r, 0, 0.02)
	p.Y = place(p.Row, p.R) + around(r, 0, 0.02)
	p.Angle = around(r, 0, math.Pi/18)
	p.RGB = hsl(around(r, hues[p.Color], 5), around(r, 0.78, 0.08), around(r, lightness[p.Color], 0.03))
	// Pale or dark, hardly colored, so that every color stands out.
	hue, light := around(r, 180, 180), around(r, 0.9, 0.06)
	if r.IntN(2) == 1 {
		light = around(r, 0.16, 0.06)
	}
	saturation := around(r, 0.15, 0.1)
	p.Background[0] = hsl(hue, saturation, light+0.03)
	p.Background[1] = hsl(hue+around(r, 0, 40), saturation, light-0.05)
	p.Noise = r.Uint64()
	return p
}

// around draws uniformly from center ± spread.
func around(r *rand.Rand, center, spread float64) float64 {
	return center + spread*(2*r.Float64()-1)
}

// place is the center of a third of the image, moved so that a shape of radius
// r stays inside.
func place(third int, r float64) float64 {
	edge := r + 0.03
	return [...]float64{edge, 0.5, 1 - edge}[third]
}

// Example draws example i. It fails only if s is not valid.
func (s Shapes) Example(i int) (Example, error) {
	name := fmt.Sprintf("shapes/%d", i)
	if err := s.Validate(); err != nil {
		return Example{Name: name}, err
	}
	spec := s.Spec(i)
	im, box := spec.Draw(s.Size)
	box.Name = spec.Pair.String()
	return Example{Image: im, Label: spec.label(), Caption: spec.Caption(), Boxes: []Box{box}, Name: name}, nil
}
