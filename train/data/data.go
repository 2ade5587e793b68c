// Package data turns images on disk, or drawn on the spot, into the batches a
// graph is trained on.
//
// A [Dataset] gives random access to examples, an [Input] says how an example
// fills its row of one tensor, and a [Loader] puts rows together into batches.
// Step k of a run is a function of the seed and k alone: a resumed run needs
// nothing but the number of its next step, and the number of goroutines does
// not show in the result.
package data

import (
	"math/rand/v2"

	"gorgonia.org/tensor"
)

// Batch maps the names of a graph's inputs to float32 tensors whose first axis
// is B.
type Batch = map[string]*tensor.Dense

// Box is a half-open rectangle of pixels, X0 ≤ x < X1 and Y0 ≤ y < Y1, counted
// from the top left.
type Box struct {
	X0, Y0, X1, Y1 int
	Name           string // what it bounds
}

// Example is one image and what is known of it.
type Example struct {
	Image   *Image
	Label   int    // index into the data set's classes
	Caption string // empty where the data set has none
	Boxes   []Box
	Name    string // path of the file, or split and index: "train/123"
}

// Dataset is a finite list of examples with random access, safe for concurrent
// use. An example may not be modified by who receives it.
type Dataset interface {
	Len() int
	// Example returns example i, 0 ≤ i < Len. An error concerns this example
	// alone, whose Name is set all the same.
	Example(i int) (Example, error)
	// Classes names the labels, in order.
	Classes() []string
}

// What a stream of random numbers is for; part of its seed.
const (
	forOrder = iota + 1
	forExample
	forMix
	forShape
	forSplit
	forHoldout
)

// stream returns the random numbers for one purpose at (a, b), independent of
// those for any other purpose or place.
func stream(seed uint64, purpose int, a, b uint64) *rand.Rand {
	h := scramble(scramble(scramble(uint64(purpose))^a) ^ b)
	return rand.New(rand.NewPCG(seed, h))
}

// scramble is the output function of SplitMix64 (doi:10.1145/2660193.2660195):
// a bijection under which nearby arguments have unrelated values.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
