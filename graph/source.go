package graph

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Source supplies the values of parameters.
type Source interface {
	// Tensor returns a new float32 tensor for the named parameter. A source
	// of stored values ignores init. The result has the wanted number of
	// elements; for no dimensions it has the shape (1).
	Tensor(name string, shape []int, init Init) (*tensor.Dense, error)
}

// Seed is a source of fresh values. It mixes in the parameter's name, so that
// adding a layer leaves the initial values of its neighbours alone.
type Seed uint64

// Tensor fills a tensor by init.
func (s Seed) Tensor(name string, shape []int, init Init) (*tensor.Dense, error) {
	h := fnv.New64a()
	h.Write([]byte(name))
	dst := make([]float32, tensor.Shape(shape).TotalSize())
	init(rand.New(rand.NewPCG(uint64(s), h.Sum64())), dst)
	return tensor.New(tensor.WithShape(valueShape(shape)...), tensor.WithBacking(dst)), nil
}

// Lazy is a stored tensor that has not been read.
type Lazy struct {
	Shape []int
	Read  func() ([]float32, error) // a slice of the caller's own
}

// Tensors is a source of stored tensors, each read when it is asked for, as
// from a checkpoint. It remembers what was asked for.
type Tensors struct {
	origin  string // file or folder, for messages
	entries map[string]Lazy
	asked   map[string]bool
}

// NewTensors returns a source of the given tensors; origin names the
// checkpoint in messages.
func NewTensors(origin string, entries map[string]Lazy) *Tensors {
	return &Tensors{origin: origin, entries: entries, asked: map[string]bool{}}
}

// Tensor reads the named tensor, which must have the wanted shape.
func (t *Tensors) Tensor(name string, shape []int, _ Init) (*tensor.Dense, error) {
	e, ok := t.entries[name]
	if !ok {
		return nil, errors.Errorf("%s: no tensor %q, want one of shape %v", t.origin, name, tensor.Shape(shape))
	}
	t.asked[name] = true
	if !slices.Equal(e.Shape, shape) && !(tensor.Shape(e.Shape).TotalSize() == 1 && tensor.Shape(shape).TotalSize() == 1) {
		return nil, errors.Errorf("%s: tensor %q has shape %v, want %v", t.origin, name, tensor.Shape(e.Shape), tensor.Shape(shape))
	}
	data, err := e.Read()
	if err != nil {
		return nil, err
	}
	return tensor.New(tensor.WithShape(valueShape(shape)...), tensor.WithBacking(data)), nil
}

// Lookup returns the stored tensor of that name.
func (t *Tensors) Lookup(name string) (Lazy, bool) {
	e, ok := t.entries[name]
	return e, ok
}

// Names lists the stored tensors in alphabetical order.
func (t *Tensors) Names() []string { return slices.Sorted(maps.Keys(t.entries)) }

// Unused lists the stored tensors nobody has asked for.
func (t *Tensors) Unused() []string {
	return slices.DeleteFunc(t.Names(), func(n string) bool { return t.asked[n] })
}

// Origin names the checkpoint.
func (t *Tensors) Origin() string { return t.origin }

// Fresh takes the parameters that pick accepts from fresh and all others from
// src, as when a checkpoint gets a new head.
func Fresh(src Source, fresh Seed, pick func(name string) bool) Source {
	return refreshed{src, fresh, pick}
}

type refreshed struct {
	src   Source
	fresh Seed
	pick  func(string) bool
}

func (r refreshed) Tensor(name string, shape []int, init Init) (*tensor.Dense, error) {
	if r.pick(name) {
		return r.fresh.Tensor(name, shape, init)
	}
	return r.src.Tensor(name, shape, init)
}
