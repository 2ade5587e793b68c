package graph

import (
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"

	"tessera/graph/op"
)

// backprop adds the gradients of cost with respect to the given leaves, by the
// operations' own Backward. Gorgonia's Grad inserts stock additions where a
// value has several readers; this walk adds only operations of package op. A
// leaf that cost does not depend on gets nil.
func (b *Builder) backprop(cost *Node, wrt []*Node) ([]*Node, error) {
	sorted, err := G.Sort(b.g) // every node before its operands
	if err != nil {
		return nil, errors.Wrap(err, "graph")
	}
	need := map[*Node]bool{}
	for _, n := range wrt {
		need[n] = true
	}
	for i := len(sorted) - 1; i >= 0; i-- {
		n := sorted[i]
		o, ok := n.Op().(G.SDOp)
		if !ok {
			continue
		}
		in := b.operands(n)
		for j, d := range o.DiffWRT(len(in)) {
			if d && need[in[j]] {
				need[n] = true
			}
		}
	}
	if !need[cost] {
		return make([]*Node, len(wrt)), nil
	}

	one := make([]float64, cost.Shape().TotalSize())
	for i := range one {
		one[i] = 1
	}
	partial := map[*Node][]*Node{cost: {b.Const(one, cost.Shape()...)}}
	total := map[*Node]*Node{}
	for _, n := range sorted {
		if !need[n] || len(partial[n]) == 0 {
			continue
		}
		g := partial[n][0]
		if len(partial[n]) > 1 {
			if g, err = op.AddN(partial[n]...); err != nil {
				return nil, errors.Wrapf(err, "graph: gradient of %s", n.Name())
			}
		}
		total[n] = g
		o, ok := n.Op().(*op.Operation)
		if !ok {
			if n.Op() != nil {
				return nil, errors.Errorf("graph: gradient through stock operation %v", n.Op())
			}
			continue
		}
		in := b.operands(n)
		wanted := make([]bool, len(in))
		for j := range in {
			wanted[j] = need[in[j]]
		}
		ds, err := o.Backward(in, n, g, wanted)
		if err != nil {
			return nil, errors.Wrapf(err, "graph: %s", n.Name())
		}
		for j, d := range ds {
			if wanted[j] && d != nil {
				partial[in[j]] = append(partial[in[j]], d)
			}
		}
	}
	grads := make([]*Node, len(wrt))
	for i, n := range wrt {
		grads[i] = total[n]
		if g := grads[i]; g != nil && !slices.Equal(g.Shape(), n.Shape()) {
			return nil, errors.Errorf("graph: gradient of %s has shape %v, want %v", n.Name(), g.Shape(), n.Shape())
		}
	}
	return grads, nil
}

// operands lists what n is computed from, in order, repetitions included.
func (b *Builder) operands(n *Node) G.Nodes {
	var in G.Nodes
	for it := b.g.From(n.ID()); it != nil && it.Next(); {
		in = append(in, it.Node().(*Node))
	}
	return in
}

// readers lists the nodes computed from n.
func (b *Builder) readers(n *Node) G.Nodes {
	var out G.Nodes
	for it := b.g.To(n.ID()); it != nil && it.Next(); {
		out = append(out, it.Node().(*Node))
	}
	return out
}
