package checkpoint

import (
	"fmt"
	"slices"

	"gorgonia.org/tensor"

	"tessera/graph"
)

// A Layout lists tensors that a checkpoint must hold. It is compared with the
// shapes in the file before memory is taken for the sizes of a configuration.
type Layout struct {
	names  []string
	shapes map[string][]int
}

// Add lists a tensor.
func (l *Layout) Add(name string, shape ...int) {
	if l.shapes == nil {
		l.shapes = map[string][]int{}
	}
	l.names = append(l.names, name)
	l.shapes[name] = shape
}

// Has tells whether the tensor is listed.
func (l *Layout) Has(name string) bool {
	_, ok := l.shapes[name]
	return ok
}

// Faults names the tensors that are missing in the checkpoint, or misshapen.
func (l *Layout) Faults(origin string, entries map[string]graph.Lazy) []string {
	var faults []string
	for _, name := range l.names {
		e, ok := entries[name]
		if fault := mismatch(name, e.Shape, ok, l.shapes[name]); fault != "" {
			faults = append(faults, origin+": "+fault)
		}
	}
	return faults
}

// mismatch compares the shape of a tensor, if there is one, with what is wanted.
func mismatch(name string, got []int, ok bool, want []int) string {
	switch {
	case !ok:
		return fmt.Sprintf("no tensor %q, want one of shape %v", name, tensor.Shape(want))
	case !slices.Equal(got, want):
		return fmt.Sprintf("tensor %q has shape %v, want %v", name, tensor.Shape(got), tensor.Shape(want))
	}
	return ""
}
