package search

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pkg/errors"

	"tessera/clip/search/internal/score"
)

const (
	maxID  = 1024  // bytes
	maxDim = 65536 // sums of products of 8 bits stay within 32
)

// Validate checks an item against a model's width D.
func (it Item) Validate(dim int) error {
	switch {
	case it.ID == "":
		return errors.New("search: an item without an ID")
	case len(it.ID) > maxID:
		return errors.Errorf("search: item %.32q…: an ID of %d bytes, want at most %d", it.ID, len(it.ID), maxID)
	case it.ImageVector == nil && it.TextVector == nil:
		return errors.Errorf("search: item %q has neither an image vector nor a text vector", it.ID)
	}
	for _, s := range []struct{ name, value string }{{"ID", it.ID}, {"image", it.Image}, {"text", it.Text}} {
		if !utf8.ValidString(s.value) || strings.ContainsRune(s.value, 0) {
			return errors.Errorf("search: item %q: %s %.64q is not UTF-8 without zeros", it.ID, s.name, s.value)
		}
	}
	for _, v := range []struct {
		name   string
		vector []float32
	}{{"image", it.ImageVector}, {"text", it.TextVector}} {
		if v.vector == nil {
			continue
		}
		if err := validVector(v.vector, dim); err != nil {
			return errors.Wrapf(err, "search: item %q: %s vector", it.ID, v.name)
		}
	}
	return nil
}

// Validate checks a query against a model's width D.
func (q Query) Validate(dim int) error {
	if len(q.Terms) == 0 {
		return errors.New("search: a query without terms")
	}
	if q.K < 1 {
		return errors.Errorf("search: query for %d hits, want at least 1", q.K)
	}
	switch q.In {
	case Either, Images, Texts:
	default:
		return errors.Errorf("search: query in %q, want %q, %q or nothing for both", q.In, Images, Texts)
	}
	switch q.Fusion {
	case "", Raw, Centred, Standardized, Reciprocal:
	default:
		return errors.Errorf("search: fusion %q, want %q, %q, %q or %q", q.Fusion, Raw, Centred, Standardized, Reciprocal)
	}
	if q.MinScore != nil && math.IsNaN(*q.MinScore) {
		return errors.New("search: the least score is not a number")
	}
	for i, t := range q.Terms {
		if t.Kind != Images && t.Kind != Texts {
			return errors.Errorf("search: term %d is of kind %q, want %q or %q", i+1, t.Kind, Images, Texts)
		}
		if t.Weight == 0 || math.IsNaN(t.Weight) || math.IsInf(t.Weight, 0) {
			return errors.Errorf("search: term %d has weight %g, want a finite number other than 0", i+1, t.Weight)
		}
		if err := validVector(t.Vector, dim); err != nil {
			return errors.Wrapf(err, "search: term %d", i+1)
		}
	}
	if _, err := q.Vector(); err != nil {
		return err
	}
	return q.Filter.Validate()
}

// Vector is the weighted sum of the terms, scaled to unit length (D). It is an
// error if they cancel each other.
func (q Query) Vector() ([]float32, error) {
	if len(q.Terms) == 0 {
		return nil, errors.New("search: a query without terms")
	}
	sum := q.sum(nil)
	if !normalize(sum) {
		return nil, errors.New("search: the terms of the query cancel each other, nothing is left to look for")
	}
	return narrow(sum), nil
}

// Centred is Vector once the mean of its kind is taken from each term; means that
// are nil are not. It is 0 if nothing is left. The terms themselves stay.
func (q Query) Centred(means map[Modality][]float64) []float32 {
	sum := q.sum(means)
	normalize(sum)
	return narrow(sum)
}

// sum adds up the terms, from each the mean of its kind taken away.
func (q Query) sum(means map[Modality][]float64) []float64 {
	total := 0.0 // keeps the sum of large weights finite
	for _, t := range q.Terms {
		total = max(total, math.Abs(t.Weight))
	}
	sum := make([]float64, len(q.Terms[0].Vector))
	for _, t := range q.Terms {
		mean := means[t.Kind]
		for i, v := range t.Vector {
			x := float64(v)
			if mean != nil {
				x -= mean[i]
			}
			sum[i] += t.Weight / total * x
		}
	}
	return sum
}

// normalize scales x to unit length. It returns false, x being cleared, if x
// has no direction.
func normalize(x []float64) bool {
	norm := math.Sqrt(score.Product(x, x))
	if !(norm > score.Vanishing) {
		clear(x)
		return false
	}
	for i := range x {
		x[i] /= norm
	}
	return true
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func validVector(v []float32, dim int) error {
	if len(v) != dim {
		return errors.Errorf("has %d elements, the index holds vectors of %d", len(v), dim)
	}
	norm := math.Sqrt(score.Product(v, v))
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return errors.New("holds elements that are not finite numbers")
	}
	if math.Abs(norm-1) > 1e-3 {
		return errors.Errorf("has length %g, want 1", norm)
	}
	return nil
}
