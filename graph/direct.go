package graph

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/op"
)

// direct runs a compiled graph without the tape machine: the same operations in
// the same order on the same buffers. The machine hands every run to another
// thread and allocates for every node, which a small decoding step feels.
type direct struct {
	steps  []step
	inputs map[string][]place
}

// step is one operation and where its operands are.
type step struct {
	node *Node
	op   *op.Operation
	in   []G.Value
}

// place is an operand that is an input.
type place struct{ step, operand int }

// newDirect prepares the nodes in order of execution. It returns nil if the
// graph holds an operation that is not from package op.
func newDirect(b *Builder, order G.Nodes) *direct {
	d := &direct{inputs: map[string][]place{}}
	input := map[*Node]string{}
	for name, n := range b.inputs {
		input[n] = name
	}
	for _, n := range order {
		if n.Op() == nil {
			continue
		}
		o, ok := n.Op().(*op.Operation)
		if !ok {
			return nil
		}
		operands := b.operands(n)
		s := step{n, o, make([]G.Value, len(operands))}
		for i, x := range operands {
			if name, ok := input[x]; ok {
				d.inputs[name] = append(d.inputs[name], place{len(d.steps), i})
			} else if from, ok := x.Op().(*op.Operation); ok {
				s.in[i] = from.Result()
			} else {
				s.in[i] = x.Value()
			}
		}
		d.steps = append(d.steps, s)
	}
	return d
}

// let sets an input.
func (d *direct) let(name string, v *tensor.Dense) {
	for _, p := range d.inputs[name] {
		d.steps[p.step].in[p.operand] = v
	}
}

func (d *direct) run() error {
	for i := range d.steps {
		s := &d.steps[i]
		if _, err := s.op.Do(s.in...); err != nil {
			return errors.Wrapf(err, "graph: %s", s.node.Name())
		}
	}
	return nil
}
