package data

import (
	"math"
	"slices"
)

// ShapeReader tells which color and shape an image such as those of [Shapes]
// shows, by measuring it: it learns nothing, and so judges images that models
// draw without a taste of its own.
//
// What differs from the background is the shape. Its center of gravity and area
// give place and size, whatever the blur, the most similar of the drawer's own
// outlines its kind, its hue the color.
type ShapeReader struct {
	templates [len(shapeKinds)][][]float64 // turned and blurred in several ways, of area 1
}

// The window in which a shape is compared: readCells × readCells cells that span
// readSpan times the root of the shape's area.
const (
	readCells = 20
	readSpan  = 2.1
)

// NewShapeReader prepares the outlines, which takes longer than to read an image.
func NewShapeReader() *ShapeReader {
	r := &ShapeReader{}
	for kind := range shapeKinds {
		for degrees := -10.0; degrees <= 10; degrees += 5 {
			for _, blur := range []float64{0, 0.1, 0.2} {
				r.templates[kind] = append(r.templates[kind], template(kind, degrees*math.Pi/180, blur))
			}
		}
	}
	return r
}

// template is a shape of area 1, turned by an angle and blurred by a bell of the
// given standard deviation.
func template(kind int, angle, blur float64) []float64 {
	polygon := outline(kind)
	sin, cos := math.Sincos(angle)
	radius := 1 / math.Sqrt(areaOf(polygon))
	cover := func(x, y float64) float64 {
		x, y = x/radius, y/radius
		d := math.Hypot(x, y) - 1
		if polygon != nil {
			d = distance(point{cos*x + sin*y, cos*y - sin*x}, polygon)
		}
		return min(max(0.5-6*d, 0), 1) // as soft as if drawn in a dozen pixels
	}
	if blur == 0 {
		return inWindow(cover)
	}
	return inWindow(func(x, y float64) float64 {
		sum, weight := 0.0, 0.0
		for i := -2.0; i <= 2; i++ {
			for j := -2.0; j <= 2; j++ {
				w := math.Exp(-(i*i + j*j) / 2)
				sum, weight = sum+w*cover(x+blur*j, y+blur*i), weight+w
			}
		}
		return sum / weight
	})
}

// areaOf is a polygon's area; without corners it is the circle of radius 1.
func areaOf(polygon []point) float64 {
	if polygon == nil {
		return math.Pi
	}
	sum, a := 0.0, polygon[len(polygon)-1]
	for _, b := range polygon {
		sum += (a.x*b.y - a.y*b.x) / 2
		a = b
	}
	return math.Abs(sum)
}

// inWindow reads f at the cells' centers, standardized to mean 0 and length 1.
func inWindow(f func(x, y float64) float64) []float64 {
	cells := make([]float64, 0, readCells*readCells)
	mean := 0.0
	for i := range readCells {
		for j := range readCells {
			x, y := (float64(j)+0.5)/readCells-0.5, (float64(i)+0.5)/readCells-0.5
			v := f(readSpan*x, readSpan*y)
			cells = append(cells, v)
			mean += v / (readCells * readCells)
		}
	}
	norm := 0.0
	for i := range cells {
		cells[i] -= mean
		norm += cells[i] * cells[i]
	}
	norm = math.Sqrt(norm)
	for i := range cells {
		if norm > 0 {
			cells[i] /= norm
		}
	}
	return cells
}

// Read returns the color and the shape of an RGB image, or false where nothing
// stands out that could be either.
func (r *ShapeReader) Read(im *Image) (Pair, bool) {
	if im.C != 3 || im.W < 3 || im.H < 3 {
		return Pair{}, false
	}
	cover, rgb, ok := segment(im)
	if !ok {
		return Pair{}, false
	}
	kind, ok := r.kind(cover, im.W, im.H)
	return Pair{nearestHue(rgb), kind}, ok
}

// segment divides an image into background and shape: the share of each pixel
// that the shape covers, and the shape's color.
func segment(im *Image) (cover []float64, rgb [3]float64, ok bool) {
	back := fitBackground(im)
	n := im.W * im.H
	cover = make([]float64, n)
	differs := make([][3]float64, n) // from the background
	for i := range n {
		b := back(i%im.W, i/im.W)
		for c := range 3 {
			differs[i][c] = float64(im.Pix[3*i+c])/255 - b[c]
		}
		cover[i] = length(differs[i])
	}
	// The shape's inside differs most; a few pixels may differ more by chance.
	sorted := slices.Sorted(slices.Values(cover))
	most := sorted[len(sorted)-1-n/50]
	if most < 0.15 {
		return nil, rgb, false
	}
	var inside, whole [3]float64
	pixels := 0.0
	for i, d := range differs {
		if cover[i] > 0.8*most {
			for c := range 3 {
				inside[c] += d[c]
				whole[c] += float64(im.Pix[3*i+c]) / 255
			}
			pixels++
		}
	}
	for c := range 3 {
		inside[c] /= pixels
		rgb[c] = whole[c] / pixels
	}
	square := length(inside) * length(inside)
	for i, d := range differs {
		along := (d[0]*inside[0] + d[1]*inside[1] + d[2]*inside[2]) / square
		cover[i] = min(max(along, 0), 1)
		if cover[i] < 0.1 { // grain
			cover[i] = 0
		}
	}
	return cover, rgb, true
}

func length(v [3]float64) float64 { return math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2]) }

// fitBackground finds the background, which changes evenly from the top left to
// the bottom right, in the outermost pixels, most of which show it.
func fitBackground(im *Image) func(x, y int) [3]float64 {
	var at []float64
	var colors [3][]float64
	for y := range im.H {
		for x := range im.W {
			if x > 0 && x < im.W-1 && y > 0 && y < im.H-1 {
				continue
			}
			at = append(at, float64(x)/float64(im.W)+float64(y)/float64(im.H))
			for c := range 3 {
				colors[c] = append(colors[c], float64(im.Pix[(y*im.W+x)*3+c])/255)
			}
		}
	}
	var lines [3][2]float64
	for c := range 3 {
		lines[c] = robustLine(at, colors[c])
	}
	return func(x, y int) (rgb [3]float64) {
		t := float64(x)/float64(im.W) + float64(y)/float64(im.H)
		for c := range 3 {
			rgb[c] = lines[c][0] + lines[c][1]*t
		}
		return rgb
	}
}

// robustLine fits y = a + b·x to most points: least squares again and again,
// farther points counting less (Cauchy's weights).
func robustLine(x, y []float64) [2]float64 {
	const scale = 0.03 // of grain and blur
	a, b := slices.Sorted(slices.Values(y))[len(y)/2], 0.0
	for range 10 {
		var w, wx, wy, wxx, wxy float64
		for i := range x {
			d := (y[i] - a - b*x[i]) / scale
			k := 1 / (1 + d*d)
			w, wx, wy, wxx, wxy = w+k, wx+k*x[i], wy+k*y[i], wxx+k*x[i]*x[i], wxy+k*x[i]*y[i]
		}
		b = (w*wxy - wx*wy) / (w*wxx - wx*wx)
		a = (wy - b*wx) / w
	}
	return [2]float64{a, b}
}

// kind is the shape whose outline is most like the covered pixels.
func (r *ShapeReader) kind(cover []float64, w, h int) (int, bool) {
	var area, mx, my float64
	for i, v := range cover {
		area, mx, my = area+v, mx+v*(float64(i%w)+0.5), my+v*(float64(i/w)+0.5)
	}
	if area < 4 {
		return 0, false
	}
	mx, my = mx/area, my/area
	root := math.Sqrt(area)
	seen := inWindow(func(x, y float64) float64 { return interpolate(cover, w, h, mx+root*x-0.5, my+root*y-0.5) })
	best, kind := 0.0, -1
	for k, turned := range r.templates {
		for _, t := range turned {
			like := 0.0
			for i, v := range seen {
				like += v * t[i]
			}
			if like > best {
				best, kind = like, k
			}
		}
	}
	return kind, best > 0.6
}

// interpolate reads an image between the centers of its pixels, 0 outside it.
func interpolate(v []float64, w, h int, x, y float64) float64 {
	at := func(x, y int) float64 {
		if x < 0 || y < 0 || x >= w || y >= h {
			return 0
		}
		return v[y*w+x]
	}
	fx, fy := math.Floor(x), math.Floor(y)
	i, j, t, u := int(fx), int(fy), x-fx, y-fy
	return (1-u)*((1-t)*at(i, j)+t*at(i+1, j)) + u*((1-t)*at(i, j+1)+t*at(i+1, j+1))
}

// nearestHue is the palette's color whose hue is nearest.
func nearestHue(rgb [3]float64) int {
	hi, lo := max(rgb[0], rgb[1], rgb[2]), min(rgb[0], rgb[1], rgb[2])
	var hue float64
	switch d := hi - lo; {
	case d == 0:
	case hi == rgb[0]:
		hue = 60 * (rgb[1] - rgb[2]) / d
	case hi == rgb[1]:
		hue = 60*(rgb[2]-rgb[0])/d + 120
	default:
		hue = 60*(rgb[0]-rgb[1])/d + 240
	}
	best, color := math.Inf(1), 0
	for c, h := range hues {
		if d := math.Abs(math.Remainder(hue-h, 360)); d < best {
			best, color = d, c
		}
	}
	return color
}
