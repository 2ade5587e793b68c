package graph

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// An Error reports an operation that could not be added to a graph.
type Error struct {
	Path   string // of the layer
	Op     string
	Shapes []tensor.Shape // of the operands
	Err    error
}

func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString("graph: ")
	if e.Path != "" {
		s.WriteString(e.Path + ": ")
	}
	s.WriteString(e.Op)
	for i, sh := range e.Shapes {
		if i > 0 {
			s.WriteString(" ×")
		}
		fmt.Fprintf(&s, " %s", formatShape(sh))
	}
	fmt.Fprintf(&s, ": %v", e.Err)
	return s.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// formatShape writes a shape as in (2, 3).
func formatShape(s []int) string {
	return "(" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint([]int(s)), "[]")), ", ") + ")"
}

// bailout carries the error that ends a build.
type bailout struct{ err error }

// recovered turns a panic of a build into its error. A runtime error is a
// fault of the program and goes on as a panic.
func recovered(r any) error {
	switch r := r.(type) {
	case nil:
		return nil
	case bailout:
		return r.err
	case runtime.Error:
		panic(r)
	case error:
		return errors.Wrap(r, "graph")
	default: // Gorgonia panics with strings too
		return errors.Errorf("graph: %v", r)
	}
}
