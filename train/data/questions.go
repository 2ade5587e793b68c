package data

import "fmt"

// Question is one about an image, and its answer in a few words.
type Question struct{ Text, Answer string }

// Questions asks for color, shape, size and place, in this order, so that
// questions of a number are of a kind.
func (s ShapeSpec) Questions() []Question {
	size := shapeSizes[0]
	if s.Large {
		size = shapeSizes[1]
	}
	color, kind := shapeColors[s.Color], shapeKinds[s.Kind]
	return []Question{
		{fmt.Sprintf("what color is the %s?", kind), color},
		{fmt.Sprintf("which shape is %s?", color), kind},
		{fmt.Sprintf("is the %s %s or %s?", kind, shapeSizes[0], shapeSizes[1]), size},
		{fmt.Sprintf("where is the %s?", kind), shapePlaces[3*s.Row+s.Col]},
	}
}

// Questions are those about example i.
func (s Shapes) Questions(i int) []Question { return s.Spec(i).Questions() }
