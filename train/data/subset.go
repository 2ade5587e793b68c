package data

import (
	"math"
	"slices"

	"github.com/pkg/errors"
)

// subset is some of a data set's examples.
type subset struct {
	Dataset
	index []int
}

func (s *subset) Len() int                       { return len(s.index) }
func (s *subset) Example(i int) (Example, error) { return s.Dataset.Example(s.index[i]) }

// Split deals ds out at random, the given fraction of it, rounded to whole
// examples, to val and the rest to train. Both keep the order of ds, and the
// same seed gives the same parts. The fraction lies between 0 and 1.
func Split(ds Dataset, fraction float64, seed uint64) (train, val Dataset, err error) {
	if !(fraction >= 0 && fraction <= 1) {
		return nil, nil, errors.Errorf("data: split: validation fraction is %g, want 0 to 1", fraction)
	}
	n := ds.Len()
	order := stream(seed, forSplit, 0, 0).Perm(n)
	k := int(math.Round(fraction * float64(n)))
	slices.Sort(order[:k])
	slices.Sort(order[k:])
	return &subset{ds, order[k:]}, &subset{ds, order[:k]}, nil
}

// Take keeps n examples of ds, or all where it has no more. They are evenly
// spaced, so that a data set sorted by class keeps all its classes.
func Take(ds Dataset, n int) Dataset {
	total := ds.Len()
	if n >= total {
		return ds
	}
	index := make([]int, max(n, 0))
	for i := range index {
		index[i] = int(int64(i) * int64(total) / int64(n))
	}
	return &subset{ds, index}
}
