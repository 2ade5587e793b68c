package graph

import (
	"fmt"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Scope is a place in the tree of parameter names, and where the values of the
// parameters declared there come from. Scopes of one tree collect errors: a
// constructor returns Err once, after declaring everything.
type Scope struct {
	params *Params
	src    Source
	path   string
	frozen bool
	rename func(string) string
}

// NewScope returns the root of a new tree of names.
func NewScope(src Source) Scope {
	return Scope{params: &Params{byName: map[string]*Param{}}, src: src}
}

// Params returns the parameters declared in the whole tree.
func (s Scope) Params() *Params { return s.params }

// Path is the dotted name of the scope.
func (s Scope) Path() string { return s.path }

// Sub returns the scope whose path has the elements appended, joined by dots.
func (s Scope) Sub(elem ...any) Scope {
	var parts []string
	if s.path != "" {
		parts = append(parts, s.path)
	}
	for _, e := range elem {
		parts = append(parts, fmt.Sprint(e))
	}
	s.path = strings.Join(parts, ".")
	return s
}

// Frozen returns the scope with its future parameters frozen.
func (s Scope) Frozen() Scope { s.frozen = true; return s }

// Rename returns the scope with future parameters named by rename of their
// path, so that layers speak one vocabulary and checkpoints another.
func (s Scope) Rename(rename func(path string) string) Scope { s.rename = rename; return s }

// Err reports every missing, misshapen or repeated parameter of the tree, a
// line each, or nil.
func (s Scope) Err() error {
	errs := s.params.errs
	if len(errs) == 0 {
		return nil
	}
	lines := make([]string, len(errs))
	for i, err := range errs {
		lines[i] = err.Error()
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Param declares a parameter of the given shape; no dimensions mean a single
// number. After an error its value is zero, so that construction can go on.
func (s Scope) Param(name string, init Init, shape ...int) *Param {
	full := s.Sub(name).path
	if s.rename != nil {
		full = s.rename(full)
	}
	p := &Param{Name: full, Frozen: s.frozen, shape: tensor.Shape(shape).Clone()}
	v, err := s.src.Tensor(p.Name, shape, init)
	switch {
	case err != nil:
	case s.params.byName[p.Name] != nil:
		err = errors.Errorf("graph: parameter %s is declared twice", p.Name)
	case v.Shape().TotalSize() != p.shape.TotalSize():
		err = errors.Errorf("graph: parameter %s: the source gave shape %v, want %v", p.Name, v.Shape(), p.shape)
	}
	if err != nil {
		s.params.errs = append(s.params.errs, err)
		v = tensor.New(tensor.WithShape(valueShape(shape)...), tensor.Of(tensor.Float32))
	}
	p.Value = v
	s.params.byName[p.Name] = p
	s.params.list = append(s.params.list, p)
	return p
}

// valueShape is the shape of a parameter's tensor: (1) for a single number.
func valueShape(shape []int) []int {
	if len(shape) == 0 {
		return []int{1}
	}
	return shape
}
