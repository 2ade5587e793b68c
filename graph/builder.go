package graph

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/op"
)

// Node is a value of an expression graph.
type Node = G.Node

// Values maps the names of inputs to tensors.
type Values = map[string]*tensor.Dense

// Builder adds nodes to an expression graph. Its methods return nodes, not
// errors: what cannot be built abandons the build, and Compile returns why.
type Builder struct {
	*state
	path string
}

// state is what all builders of one graph share.
type state struct {
	g        *G.ExprGraph
	dtype    tensor.Dtype
	training bool
	trace    bool
	fixed    bool
	packed   map[*Param]bool // taken for constant
	noise    *op.Noise
	params   map[*Param]*Node
	order    []*Param
	names    map[string]bool // of inputs and constants
	inputs   map[string]*Node
	outputs  map[string]*Node
	updates  []update
	cost     *Node
	streams  map[string]uint64
}

// update is a new value for a parameter after a training run.
type update struct {
	param *Param
	node  *Node
}

func newBuilder(o Options) *Builder {
	return &Builder{state: &state{
		g:        G.NewGraph(),
		dtype:    o.dtype(),
		training: o.Training,
		trace:    o.Trace,
		fixed:    o.Fixed,
		packed:   map[*Param]bool{},
		noise:    &op.Noise{Seed: o.Seed},
		params:   map[*Param]*Node{},
		names:    map[string]bool{},
		inputs:   map[string]*Node{},
		outputs:  map[string]*Node{},
		streams:  map[string]uint64{},
	}}
}

// In returns a builder whose errors and nodes carry the path of a layer.
func (b *Builder) In(path string) *Builder { return &Builder{b.state, path} }

// Training tells whether the graph is built for training.
func (b *Builder) Training() bool { return b.training }

// Fail abandons the build.
func (b *Builder) Fail(op, format string, args ...any) {
	b.fail(op, errors.Errorf(format, args...))
}

func (b *Builder) fail(op string, err error, in ...*Node) {
	e := &Error{Path: b.path, Op: op, Err: err}
	for _, x := range in {
		if x != nil {
			e.Shapes = append(e.Shapes, x.Shape().Clone())
		}
	}
	panic(bailout{errors.WithStack(e)})
}

// Must returns n, or abandons the build if err is not nil. It admits any
// operation of this module's op package or Gorgonia's own.
func (b *Builder) Must(n *Node, err error) *Node { return b.call("operation").node(n, err) }

// call is an operation being applied, for naming its node and its failure.
type call struct {
	b  *Builder
	op string
	in []*Node
}

func (b *Builder) call(op string, in ...*Node) call { return call{b, op, in} }

func (c call) node(n *Node, err error) *Node {
	if err != nil {
		c.b.fail(c.op, err, c.in...)
	}
	if c.b.path != "" && !slices.Contains(c.in, n) {
		G.WithName(c.b.path + "/" + c.op)(n)
	}
	return n
}

// Expect checks the shape of x; −1 fits any size.
func (b *Builder) Expect(x *Node, shape ...int) *Node {
	s := x.Shape()
	ok := len(s) == len(shape)
	for i := 0; ok && i < len(s); i++ {
		ok = shape[i] == -1 || s[i] == shape[i]
	}
	if !ok {
		b.Fail("Expect", "shape %s, want %s", formatShape(s), formatShape(shape))
	}
	return x
}

// Param returns the node of a parameter, one for each graph.
func (b *Builder) Param(p *Param) *Node {
	if n, ok := b.params[p]; ok {
		return n
	}
	if p.Value.Dtype() != b.dtype {
		b.Fail("Param", "%s holds %v in a graph of %v: see Params.Convert", p.Name, p.Value.Dtype(), b.dtype)
	}
	n := b.leaf("param:"+p.Name, p.Value)
	b.params[p] = n
	b.order = append(b.order, p)
	return n
}

// constant reports whether n is a parameter that keeps its values while the
// program lives.
func (b *Builder) constant(n *Node) bool {
	for p, leaf := range b.params {
		if leaf == n {
			b.packed[p] = b.packed[p] || b.fixed || p.Frozen
			return b.packed[p]
		}
	}
	return false
}

// Input declares a value that every run is given.
func (b *Builder) Input(name string, shape ...int) *Node {
	if n, ok := b.inputs[name]; ok {
		if !slices.Equal(n.Shape(), shape) {
			b.Fail("Input", "%q is declared with shapes %s and %s", name, formatShape(n.Shape()), formatShape(shape))
		}
		return n
	}
	if len(shape) == 0 {
		shape = []int{1}
	}
	n := b.leaf("input:"+name, tensor.New(tensor.WithShape(shape...), tensor.Of(b.dtype)))
	b.inputs[name] = n
	return n
}

// Const returns a node of fixed values.
func (b *Builder) Const(values []float64, shape ...int) *Node {
	if n := tensor.Shape(shape).TotalSize(); n != len(values) {
		b.Fail("Const", "%d values for shape %s", len(values), formatShape(shape))
	}
	v, err := convert(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(values))), b.dtype)
	if err != nil {
		b.fail("Const", err)
	}
	return b.leaf(fmt.Sprintf("const:%d", len(b.names)), v)
}

// leaf adds a node without children. Gorgonia makes one node of leaves with
// equal name, type and shape, so names must differ.
func (b *Builder) leaf(name string, v *tensor.Dense) *Node {
	if b.names[name] {
		b.Fail("Input", "%q is used twice", name)
	}
	b.names[name] = true
	s := v.Shape().Clone()
	return G.NewTensor(b.g, b.dtype, s.Dims(), G.WithShape(s...), G.WithName(name), G.WithValue(v))
}

// Output makes the value of n readable after a run.
func (b *Builder) Output(name string, n *Node) {
	if _, ok := b.outputs[name]; ok {
		b.Fail("Output", "%q is declared twice", name)
	}
	if _, ok := n.Op().(*op.Operation); !ok { // a leaf: give it a buffer of its own
		n = b.Reshape(n, n.Shape()...)
	}
	b.outputs[name] = n
}

// Trace makes an activation readable as output "trace.<path>.<name>" where the
// options ask for traces, and does nothing elsewhere.
func (b *Builder) Trace(name string, n *Node) *Node {
	if b.trace {
		b.Output(strings.Trim("trace."+b.path+"."+name, "."), n)
	}
	return n
}

// Minimize declares the loss, of shape (1), whose gradients a run computes.
func (b *Builder) Minimize(loss *Node) {
	if loss.Shape().TotalSize() != 1 {
		b.fail("Minimize", errors.New("the loss is not a single number"), loss)
	}
	b.cost = loss
}

// Update replaces the value of p by that of n after every training run, as for
// running statistics. p must be frozen. In evaluation it does nothing.
func (b *Builder) Update(p *Param, n *Node) {
	if !b.training {
		return
	}
	if !p.Frozen {
		b.Fail("Update", "%s is trained by gradient; freeze it to update it", p.Name)
	}
	if b.packed[p] {
		b.Fail("Update", "%s is the weight of a linear layer, which takes a frozen parameter for constant", p.Name)
	}
	if n.Shape().TotalSize() != p.Value.Shape().TotalSize() {
		b.fail("Update", errors.Errorf("%s has shape %s", p.Name, formatShape(p.shape)), n)
	}
	b.updates = append(b.updates, update{p, n})
}

// stream numbers the random operations of a graph by the path they stand in
// and their order there, so that a layer's noise does not depend on others.
func (b *Builder) stream() uint64 {
	k := b.streams[b.path]
	b.streams[b.path]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s#%d", b.path, k)
	return h.Sum64()
}
