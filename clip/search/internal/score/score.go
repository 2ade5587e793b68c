// Package score has the arithmetic of searches, whatever holds the vectors.
package score

import "math"

// Vanishing is the length or deviation below which there is but noise.
const Vanishing = 1e-5

// RankOffset is k of reciprocal rank fusion (doi:10.1145/1571941.1572114) as its
// authors chose it.
const RankOffset = 60

// A Side is one modality of a search. The score of a vector x (D) is
// (Query·x − Shift) · Scale, divided by the length of x − Mean if there is a
// Mean.
type Side struct {
	Query        []float32 // (D)
	Shift, Scale float64
	Mean         []float64 // (D) or nil
}

// Of is the score of x (D). That of the mean itself is 0.
func (s *Side) Of(x []float32) float64 {
	score := (Product(x, s.Query) - s.Shift) * s.Scale
	if s.Mean == nil {
		return score
	}
	var sum float64
	for i, v := range x {
		d := float64(v) - s.Mean[i]
		sum += d * d
	}
	if length := math.Sqrt(sum); length > Vanishing {
		return score / length
	}
	return 0
}

// Inverse is 1 over a deviation, and 0 if that is but noise.
func Inverse(deviation float64) float64 {
	if deviation > Vanishing {
		return 1 / deviation
	}
	return 0
}

// Product is the inner product of a (D) and b (D) in double precision.
func Product[A, B float32 | float64](a []A, b []B) float64 {
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}
