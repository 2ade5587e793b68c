package graph

import (
	"iter"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// A Param is a named tensor that outlives any one graph: every graph it
// appears in reads the same Value, so a step of an optimizer is seen by all.
type Param struct {
	Name   string        // dotted checkpoint name
	Value  *tensor.Dense // float32, or float64 in gradient checks
	Frozen bool          // training leaves Value unchanged
	shape  tensor.Shape
}

// Shape is the declared shape; a single number has the shape () while its
// Value has one element and the shape (1).
func (p *Param) Shape() tensor.Shape { return p.shape }

// Float32s returns the values, row-major. It panics on a float64 parameter.
func (p *Param) Float32s() []float32 { return p.Value.Float32s() }

// Params holds the parameters of a model in order of declaration.
type Params struct {
	list   []*Param
	byName map[string]*Param
	errs   []error
}

// All yields the parameters in order of declaration.
func (ps *Params) All() iter.Seq[*Param] {
	return func(yield func(*Param) bool) {
		for _, p := range ps.list {
			if !yield(p) {
				return
			}
		}
	}
}

// Trained yields the parameters that are not frozen.
func (ps *Params) Trained() iter.Seq[*Param] {
	return func(yield func(*Param) bool) {
		for _, p := range ps.list {
			if !p.Frozen && !yield(p) {
				return
			}
		}
	}
}

// Get returns the parameter of that name, or nil.
func (ps *Params) Get(name string) *Param { return ps.byName[name] }

// Len is the number of parameters; Size the number of their elements.
func (ps *Params) Len() int { return len(ps.list) }

// Size is the number of elements of all parameters.
func (ps *Params) Size() int {
	n := 0
	for _, p := range ps.list {
		n += p.shape.TotalSize()
	}
	return n
}

// Convert changes the element type of every parameter, to float64 for
// gradient checks. Graphs compiled before keep the old tensors.
func (ps *Params) Convert(dt tensor.Dtype) error {
	for _, p := range ps.list {
		v, err := convert(p.Value, dt)
		if err != nil {
			return errors.Wrapf(err, "graph: parameter %s", p.Name)
		}
		p.Value = v
	}
	return nil
}

// convert returns x with elements of type dt: x itself if they are already.
func convert(x *tensor.Dense, dt tensor.Dtype) (*tensor.Dense, error) {
	if x.Dtype() == dt {
		return x, nil
	}
	switch {
	case x.Dtype() == tensor.Float32 && dt == tensor.Float64:
		src := x.Float32s()
		dst := make([]float64, len(src))
		for i, v := range src {
			dst[i] = float64(v)
		}
		return tensor.New(tensor.WithShape(x.Shape()...), tensor.WithBacking(dst)), nil
	case x.Dtype() == tensor.Float64 && dt == tensor.Float32:
		src := x.Float64s()
		dst := make([]float32, len(src))
		for i, v := range src {
			dst[i] = float32(v)
		}
		return tensor.New(tensor.WithShape(x.Shape()...), tensor.WithBacking(dst)), nil
	}
	return nil, errors.Errorf("cannot convert %v to %v", x.Dtype(), dt)
}
