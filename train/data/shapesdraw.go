package data

import (
	"math"
	"math/rand/v2"
)

// Hue in degrees and HSL lightness of each color.
var (
	hues      = [len(shapeColors)]float64{0, 27, 52, 130, 218, 285}
	lightness = [len(shapeColors)]float64{0.47, 0.52, 0.52, 0.38, 0.52, 0.48}
)

// point is relative to a shape's center, in units of its radius, y down.
type point struct{ x, y float64 }

// outline returns the corners of a shape in the circle of radius 1, none for
// the circle itself.
func outline(kind int) []point {
	switch shapeKinds[kind] {
	case "square":
		return regular(4, math.Pi/4, 1)
	case "triangle":
		return regular(3, 0, 1)
	case "star":
		return regular(5, 0, 0.42)
	case "cross":
		const a, b = 0.3, 0.95
		return []point{
			{-a, -b}, {a, -b}, {a, -a}, {b, -a}, {b, a}, {a, a},
			{a, b}, {-a, b}, {-a, a}, {-b, a}, {-b, -a}, {-a, -a},
		}
	}
	return nil
}

// regular is a regular polygon of n corners, the first at an angle from the top.
// An inner radius below 1 puts a corner of that radius between any two: a star.
func regular(n int, angle, inner float64) []point {
	var ps []point
	for i := range n {
		a := angle + 2*math.Pi*float64(i)/float64(n)
		ps = append(ps, point{math.Sin(a), -math.Cos(a)})
		if inner < 1 {
			a += math.Pi / float64(n)
			ps = append(ps, point{inner * math.Sin(a), -inner * math.Cos(a)})
		}
	}
	return ps
}

// distance is how far p lies outside the polygon, negative inside.
func distance(p point, polygon []point) float64 {
	nearest, inside := math.Inf(1), false
	a := polygon[len(polygon)-1]
	for _, b := range polygon {
		ex, ey := b.x-a.x, b.y-a.y
		px, py := p.x-a.x, p.y-a.y
		t := min(max((px*ex+py*ey)/(ex*ex+ey*ey), 0), 1)
		nearest = min(nearest, math.Hypot(px-t*ex, py-t*ey))
		// A ray to the right crosses the outline once more at every such edge.
		if (a.y > p.y) != (b.y > p.y) && px < py*ex/ey {
			inside = !inside
		}
		a = b
	}
	if inside {
		return -nearest
	}
	return nearest
}

// Draw renders the spec with smooth edges and returns the pixels the shape
// touches. A pixel's share of the shape is taken from the distance of its center
// to the outline.
func (s ShapeSpec) Draw(size int) (*Image, Box) {
	im := NewImage(size, size, 3)
	polygon := outline(s.Kind)
	sin, cos := math.Sincos(s.Angle)
	scale := s.R * float64(size) // pixels
	grain := rand.New(rand.NewPCG(s.Noise, 0))
	box := Box{X0: size, Y0: size}
	for y := range size {
		for x := range size {
			u, v := (float64(x)+0.5)/float64(size), (float64(y)+0.5)/float64(size)
			dx, dy := (u-s.X)/s.R, (v-s.Y)/s.R
			cover := 0.0
			if scale*math.Hypot(dx, dy) < scale+1 {
				d := math.Hypot(dx, dy) - 1
				if polygon != nil {
					d = distance(point{cos*dx + sin*dy, cos*dy - sin*dx}, polygon)
				}
				cover = min(max(0.5-scale*d, 0), 1)
			}
			if cover > 0 {
				box.X0, box.Y0 = min(box.X0, x), min(box.Y0, y)
				box.X1, box.Y1 = max(box.X1, x+1), max(box.Y1, y+1)
			}
			noise := 0.012 * grain.NormFloat64()
			for c := range 3 {
				back := s.Background[0][c] + (u+v)/2*(s.Background[1][c]-s.Background[0][c])
				value := back + cover*(s.RGB[c]-back) + noise
				im.Pix[(y*size+x)*3+c] = uint8(math.Round(255 * min(max(value, 0), 1)))
			}
		}
	}
	return im, box
}

// hsl converts hue in degrees, saturation and lightness to RGB from 0 to 1.
func hsl(hue, saturation, light float64) (rgb [3]float64) {
	chroma := saturation * min(light, 1-light)
	for c, n := range [3]float64{0, 8, 4} {
		k := math.Mod(n+hue/30+24, 12)
		rgb[c] = light - chroma*max(-1, min(k-3, 9-k, 1))
	}
	return rgb
}
