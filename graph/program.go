package graph

import (
	"maps"
	"slices"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/op"
)

// Options say what a graph is compiled for. The zero value is evaluation in
// float32.
type Options struct {
	Training bool         // dropout, batch statistics, gradients of the loss
	Seed     uint64       // of dropout
	Dtype    tensor.Dtype // tensor.Float32 or tensor.Float64
	Trace    bool         // makes every Builder.Trace an output
	// Fixed promises that no parameter changes after the first run. Weights are
	// then packed once, which takes their memory again and makes products
	// faster, of few rows above all, and operations run without Gorgonia's tape
	// machine. Weights of frozen parameters are always packed.
	Fixed bool
}

func (o Options) dtype() tensor.Dtype {
	if o.Dtype == (tensor.Dtype{}) {
		return tensor.Float32
	}
	return o.Dtype
}

// Program is a compiled graph. It runs one batch at a time; several programs
// may share parameters.
type Program struct {
	b      *Builder
	vm     G.VM    // nil if direct is not
	direct *direct // of a fixed program
	grads  []Grad
	nodes  []*Node // of grads
	usage  op.Usage
	ran    bool // at least once
}

// Grad is the gradient of a parameter. Its values are those of the last run
// and are overwritten by the next.
type Grad struct {
	Param *Param
	Value *tensor.Dense
}

// attempts bounds the rebuilds of a graph in which two nodes had one hash.
const attempts = 16

// Compile builds a graph and compiles it for Gorgonia's tape machine. It
// returns an *Error naming layer, operation and shapes where the build fails.
// build may be called again if hashes of nodes collide. Nil options mean
// evaluation.
func Compile(build func(*Builder), opts *Options) (*Program, error) {
	if opts == nil {
		opts = &Options{}
	}
	if dt := opts.dtype(); dt != tensor.Float32 && dt != tensor.Float64 {
		return nil, errors.Errorf("graph: Options.Dtype is %v, want float32 or float64", dt)
	}
	for range attempts {
		p, err := compile(build, *opts)
		if !errors.Is(err, errCollision) {
			return p, err
		}
	}
	return nil, errCollision
}

var errCollision = errors.New("graph: two nodes have the same hash")

func compile(build func(*Builder), opts Options) (p *Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, recovered(r)
		}
	}()
	b := newBuilder(opts)
	build(b)
	p = &Program{b: b}
	if b.cost != nil {
		if err := p.differentiate(); err != nil {
			return nil, err
		}
	}
	if err := b.checkHashes(); err != nil {
		return nil, err
	}
	order, err := p.allocate()
	if err != nil {
		return nil, err
	}
	if b.fixed {
		p.direct = newDirect(b, order)
	}
	if p.direct == nil {
		p.vm = G.NewTapeMachine(b.g)
	}
	return p, nil
}

// differentiate adds the gradients of the parameters that are not frozen.
func (p *Program) differentiate() error {
	b := p.b
	var params []*Param
	var leaves []*Node
	for _, q := range b.order {
		if !q.Frozen {
			params = append(params, q)
			leaves = append(leaves, b.params[q])
		}
	}
	grads, err := b.backprop(b.cost, leaves)
	if err != nil {
		return err
	}
	for i, g := range grads {
		if g == nil { // the loss does not depend on it
			g = b.Const(make([]float64, leaves[i].Shape().TotalSize()), leaves[i].Shape()...)
		}
		p.grads = append(p.grads, Grad{Param: params[i]})
		p.nodes = append(p.nodes, g)
	}
	return nil
}

// checkHashes guards against Gorgonia's elimination of common subexpressions,
// which merges nodes of equal 32-bit hash without comparing them.
func (b *Builder) checkHashes() error {
	seen := map[uint32]*Node{}
	for _, n := range b.g.AllNodes() {
		if o, ok := seen[n.Hashcode()]; ok && o != n {
			return errCollision
		}
		seen[n.Hashcode()] = n
	}
	return nil
}

// allocate plans the buffers over the tape machine's order of execution, which
// is the reverse of Gorgonia's Sort.
func (p *Program) allocate() (G.Nodes, error) {
	order, err := G.Sort(p.b.g)
	if err != nil {
		return nil, errors.Wrap(err, "graph")
	}
	slices.Reverse(order)
	keep := append(G.Nodes{}, p.nodes...)
	for _, n := range p.b.outputs {
		keep = append(keep, n)
	}
	for _, u := range p.b.updates {
		keep = append(keep, u.node)
	}
	p.usage = op.Allocate(order, p.b.readers, keep)
	return order, nil
}

// Run computes the graph for the given inputs, all of them and no others,
// each of its declared shape. A program for training also computes gradients
// and applies updates.
func (p *Program) Run(in Values) error {
	for name := range in {
		if _, ok := p.b.inputs[name]; !ok {
			return errors.Errorf("graph: there is no input %q, only %q", name, slices.Sorted(maps.Keys(p.b.inputs)))
		}
	}
	for name, n := range p.b.inputs {
		v, ok := in[name]
		if !ok {
			return errors.Errorf("graph: no value for input %q of shape %s", name, formatShape(n.Shape()))
		}
		if err := p.let(name, n, v); err != nil {
			return err
		}
	}
	if err := p.execute(); err != nil {
		return err
	}
	for _, u := range p.b.updates {
		if err := tensor.Copy(u.param.Value, value(u.node)); err != nil {
			return errors.Wrapf(err, "graph: update of %s", u.param.Name)
		}
	}
	return nil
}

// let sets an input.
func (p *Program) let(name string, n *Node, v *tensor.Dense) error {
	if !slices.Equal(v.Shape(), n.Shape()) {
		return errors.Errorf("graph: input %q has shape %s, want %s", name, formatShape(v.Shape()), formatShape(n.Shape()))
	}
	if v.Dtype() != p.b.dtype {
		var err error
		if v, err = convert(v, p.b.dtype); err != nil {
			return errors.Wrapf(err, "graph: input %q", name)
		}
	}
	if p.direct != nil {
		p.direct.let(name, v)
		return nil
	}
	return errors.Wrapf(G.Let(n, v), "graph: input %q", name)
}

// execute computes all nodes.
func (p *Program) execute() error {
	p.ran = true
	if p.direct != nil {
		return p.direct.run()
	}
	p.vm.Reset()
	if err := p.vm.RunAll(); err != nil {
		var at interface{ Node() *Node }
		if errors.As(err, &at) && at.Node() != nil {
			return errors.Wrapf(errors.Cause(err), "graph: %s", at.Node().Name())
		}
		return errors.Wrap(err, "graph")
	}
	return nil
}

// value is the tensor a node computed or holds.
func value(n *Node) *tensor.Dense {
	if o, ok := n.Op().(*op.Operation); ok {
		return o.Result()
	}
	return n.Value().(*tensor.Dense)
}

// Output returns the named value of the last run, overwritten by the next; nil
// if there is no such output.
func (p *Program) Output(name string) *tensor.Dense {
	n, ok := p.b.outputs[name]
	if !ok || !p.ran {
		return nil
	}
	return value(n)
}

// Scalar returns an output of one element. It panics if there is none.
func (p *Program) Scalar(name string) float64 {
	switch d := p.Output(name).Data().(type) {
	case []float32:
		return float64(d[0])
	case []float64:
		return d[0]
	case float32:
		return float64(d)
	default:
		return d.(float64)
	}
}

// Outputs lists the names of the outputs in alphabetical order.
func (p *Program) Outputs() []string { return slices.Sorted(maps.Keys(p.b.outputs)) }

// Grads returns the gradients of the loss after a run, in the order in which
// the parameters entered the graph. Runs overwrite, they do not add up.
func (p *Program) Grads() []Grad {
	for i, n := range p.nodes {
		p.grads[i].Value = value(n)
	}
	return p.grads
}

// SetStep chooses the random numbers of dropout for the next run, together
// with the seed of the options.
func (p *Program) SetStep(step uint64) { p.b.noise.Step = step }

// Usage tells how many bytes the program's results take, and the work of a run.
func (p *Program) Usage() op.Usage { return p.usage }

// Nodes lists the nodes of the graph, for tests that inspect it.
func (p *Program) Nodes() []*Node { return p.b.g.AllNodes() }

// Close frees what the tape machine holds.
func (p *Program) Close() error {
	if p.vm == nil {
		return nil
	}
	return p.vm.Close()
}
