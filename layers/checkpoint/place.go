package checkpoint

import (
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// A Place says where a layout keeps parameters.
type Place struct {
	Params []string // several are stacked along the first axis
	Shape  []int    // of each of them
	Name   string   // in the layout
	Split  []int    // Shape with the heads on an axis of their own; nil: Shape
	Axes   []int    // the order of Split's axes in the layout; nil: the same
}

// Own gives every parameter of the places a place under its own name.
func Own(all []Place) []Place {
	var own []Place
	for _, p := range all {
		for _, name := range p.Params {
			own = append(own, Place{Params: []string{name}, Shape: p.Shape, Name: name})
		}
	}
	return own
}

func (p Place) split() []int {
	if p.Split == nil {
		return p.Shape
	}
	return p.Split
}

// stored is the shape of the place's tensor in the layout.
func (p Place) stored() []int {
	shape := slices.Clone(p.split())
	for i, a := range p.Axes {
		shape[i] = p.split()[a]
	}
	if len(shape) > 0 {
		shape[0] *= len(p.Params)
	}
	return shape
}

// unpack extracts the i-th parameter from the layout's data.
func (p Place) unpack(data []float32, i int) []float32 {
	if p.Axes != nil {
		back := make([]int, len(p.Axes))
		for i, a := range p.Axes {
			back[a] = i
		}
		return permute(data, p.stored(), back)
	}
	n := len(data) / len(p.Params)
	return data[i*n : (i+1)*n]
}

// pack joins the parameters into the layout's data.
func (p Place) pack(parts [][]float32) []float32 {
	if p.Axes != nil {
		return permute(parts[0], p.split(), p.Axes)
	}
	return slices.Concat(parts...)
}

// permute reorders the axes of row-major src: axis i of the result is axis
// axes[i] of src.
func permute(src []float32, shape, axes []int) []float32 {
	strides := tensor.Shape(shape).CalcStrides()
	dst := make([]float32, 0, len(src))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(axes) {
			dst = append(dst, src[at])
			return
		}
		a := axes[axis]
		for i := range shape[a] {
			walk(axis+1, at+i*strides[a])
		}
	}
	walk(0, 0)
	return dst
}

// Unpack gives the tensors of a layout the names and shapes of parameters.
// Tensors that have no place keep their own; every place must be filled. A
// scalar may be stored as a vector of one.
func (s *Store) Unpack(all []Place) (map[string]graph.Lazy, error) {
	entries := map[string]graph.Lazy{}
	placed := map[string]bool{}
	var faults []string
	for _, p := range all {
		placed[p.Name] = true
		got, ok := s.Shapes[p.Name]
		scalars := len(p.Shape) == 0 && tensor.Shape(got).TotalSize() == 1
		if fault := mismatch(p.Name, got, ok, p.stored()); fault != "" && !(ok && scalars) {
			faults = append(faults, fault)
			continue
		}
		for i, name := range p.Params {
			entries[name] = graph.Lazy{Shape: p.Shape, Read: func() ([]float32, error) {
				data, err := s.Read(p.Name)
				if err != nil {
					return nil, err
				}
				return p.unpack(data, i), nil
			}}
		}
	}
	if len(faults) > 0 {
		return nil, errors.Errorf("%s: %s", s.Path, strings.Join(faults, "\n\t"))
	}
	for name, shape := range s.Shapes {
		if !placed[name] {
			entries[name] = s.entry(name, shape)
		}
	}
	return entries, nil
}

// Pack reads the parameters of a model into the places of a layout.
func Pack(stored *graph.Tensors, all []Place) ([]safetensors.Tensor, error) {
	var tensors []safetensors.Tensor
	var faults []string
	for _, p := range all {
		var parts [][]float32
		for _, name := range p.Params {
			v, err := stored.Tensor(name, p.Shape, graph.Zeros)
			if err != nil {
				faults = append(faults, err.Error())
				continue
			}
			parts = append(parts, v.Float32s())
		}
		if len(parts) == len(p.Params) {
			tensors = append(tensors, safetensors.Tensor{Name: p.Name, Shape: p.stored(), Data: p.pack(parts)})
		}
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "\n\t"))
	}
	return tensors, nil
}
