package data

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// NamingWords returns made-up words for colors, of two syllables each: 96 to
// train with and 16 others for tests, which then are new.
func NamingWords() (known, fresh []string) {
	var syllables []string
	for _, c := range "bdfgklmnprstvwz" {
		for _, v := range "aeiou" {
			syllables = append(syllables, string(c)+string(v))
		}
	}
	n := len(syllables)
	words := make([]string, 112)
	for i := range words {
		words[i] = syllables[i%n] + syllables[(13*i+38+i/n)%n]
	}
	return words[:96], words[96:]
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
// sentences: "red is called bano. blue is called depe. red is called bano."
func (n Naming) Text(count int, r *rand.Rand) string {
	colors := r.Perm(len(n))[:2+r.IntN(2)]
	sentences := make([]string, count)
	for i := range sentences {
		c := colors[r.IntN(len(colors))]
		sentences[i] = fmt.Sprintf("%s is called %s.", shapeColors[c], n[c])
	}
	return strings.Join(sentences, " ")
}
