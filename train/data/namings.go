package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Made-up words that stand for colors.
var (
	namingWords = [...]string{
		"blick", "blorf", "chim", "cred", "dringle", "fep", "gaz", "glim", "hask", "jop", "kiv", "lorp",
		"mib", "nork", "plim", "quom", "rell", "skib", "tiv", "toma", "vash", "wug", "yend", "zorp",
	}
	newNamingWords = [...]string{"dax", "fendle", "kern", "modi", "pilk", "sarn", "tulver", "zav"}
)

// NamingWords returns made-up words for colors: those to train with and others
// for tests, which then are new.
func NamingWords() (known, fresh []string) {
	return slices.Clone(namingWords[:]), slices.Clone(newNamingWords[:])
}

// Naming gives every color of [ShapeColors] a made-up word. It holds for one
// text: what a word means is to be found out from examples.
type Naming []string

// NewNaming draws different words for all colors. There must be at least as many
// words as colors.
func NewNaming(words []string, r *rand.Rand) Naming {
	n := make(Naming, len(shapeColors))
	for color, i := range r.Perm(len(words))[:len(n)] {
		n[color] = words[i]
	}
	return n
}

// Examples draws the colors of n examples for a question about the given color:
// that color and another one, as often as each other but for one if n is odd, in
// random order.
func (n Naming) Examples(color, count int, r *rand.Rand) []int {
	other := (color + 1 + r.IntN(len(n)-1)) % len(n)
	first := r.IntN(2)
	colors := make([]int, count)
	for i := range colors {
		colors[i] = []int{color, other}[(i+first)%2]
	}
	r.Shuffle(count, func(i, j int) { colors[i], colors[j] = colors[j], colors[i] })
	return colors
}

// Text says again and again what two or three colors are called, in count
// sentences: "red is called dax. blue is called kern. red is called dax."
func (n Naming) Text(count int, r *rand.Rand) string {
	colors := r.Perm(len(n))[:2+r.IntN(2)]
	sentences := make([]string, count)
	for i := range sentences {
		c := colors[r.IntN(len(colors))]
		sentences[i] = fmt.Sprintf("%s is called %s.", shapeColors[c], n[c])
	}
	return strings.Join(sentences, " ")
}
