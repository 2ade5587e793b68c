package op

import (
	"fmt"
	"hash"
	"hash/fnv"
	"sync/atomic"

	"github.com/chewxy/hm"
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// spec states an operation.
type spec struct {
	name    string         // for people; instances are told apart by number
	outputs []tensor.Shape // the node's value first, then what tap exposes
	// optional says that outputs after the first are for taps only: the slice
	// of one without is nil.
	optional bool
	// flops counts the floating-point operations of forward products, a
	// multiply-add as two; 0 for everything else.
	flops   int64
	forward compute
	// backward adds the nodes of the gradients; nil if there are none.
	backward gradients
}

// compute fills the outputs from the inputs, row-major slices of the declared
// shapes. Every element of every output is written on each run: buffers hold
// values of other operations before. Inputs and outputs never overlap.
type compute struct {
	f32 func(out, in [][]float32)
	f64 func(out, in [][]float64)
}

// gradients returns the gradient nodes of an operation's inputs, given its
// inputs, its node and the gradient of its value. Entry i may be nil unless
// need[i].
type gradients func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error)

// serial numbers operations, so that no two have the same hash: Gorgonia
// merges nodes of equal hash.
var serial atomic.Uint64

// Operation is a node's computation together with the buffers of its results.
// It satisfies gorgonia.SDOp.
type Operation struct {
	spec
	id    uint64
	dtype tensor.Dtype
	args  []hm.Type
	out   []*tensor.Dense // assigned by Allocate
	taps  map[int]*G.Node
	// master is set on a tap: it shows the output that tapped names.
	master *Operation
	tapped int
	run    func(in []G.Value) // bound to out by Allocate
}

var _ G.SDOp = (*Operation)(nil)

// apply adds an operation to the graph of its arguments.
func apply(s spec, in ...*G.Node) (*G.Node, error) {
	o := &Operation{spec: s, id: serial.Add(1)}
	for i, x := range in {
		dt, err := dtypeOf(x)
		if err != nil {
			return nil, errors.Wrapf(err, "argument %d", i)
		}
		if i > 0 && dt != o.dtype {
			return nil, errors.Errorf("argument %d holds %v, argument 0 %v", i, dt, o.dtype)
		}
		o.dtype = dt
		o.args = append(o.args, x.Type())
	}
	for i, sh := range o.outputs {
		if len(sh) == 0 {
			return nil, errors.Errorf("output %d has no dimensions, want shape (1) for a single number", i)
		}
		o.outputs[i] = sh.Clone()
	}
	return G.ApplyOp(o, in...)
}

// tap returns a node for output i of the operation behind n. A tap is not
// differentiable.
func tap(n *G.Node, i int) (*G.Node, error) {
	m := n.Op().(*Operation)
	if t, ok := m.taps[i]; ok {
		return t, nil
	}
	o := &Operation{
		spec:   spec{name: fmt.Sprintf("%s.%d", m.name, i), outputs: []tensor.Shape{m.outputs[i]}},
		id:     serial.Add(1),
		dtype:  m.dtype,
		args:   []hm.Type{n.Type()},
		master: m,
		tapped: i,
	}
	t, err := G.ApplyOp(o, n)
	if err != nil {
		return nil, err
	}
	if m.taps == nil {
		m.taps = map[int]*G.Node{}
	}
	m.taps[i] = t
	return t, nil
}

// dtypeOf returns float32 or float64, or an error for a node of other values.
func dtypeOf(n *G.Node) (tensor.Dtype, error) {
	t, ok := n.Type().(G.TensorType)
	if !ok {
		return tensor.Dtype{}, errors.Errorf("%v is not a tensor", n)
	}
	dt, ok := t.Of.(tensor.Dtype)
	if !ok || dt != tensor.Float32 && dt != tensor.Float64 {
		return tensor.Dtype{}, errors.Errorf("%v holds %v, want float32 or float64", n, t.Of)
	}
	return dt, nil
}

// Do computes the outputs into the operation's own buffers. A panic becomes an
// error, since the tape machine calls it on a goroutine of its own.
func (o *Operation) Do(in ...G.Value) (v G.Value, err error) {
	if len(o.out) == 0 {
		return nil, errors.Errorf("%s has no buffers: op.Allocate has not run", o)
	}
	if o.run != nil {
		defer func() {
			if r := recover(); r != nil {
				err = errors.Errorf("%s: %v", o.name, r)
			}
		}()
		o.run(in)
	}
	return o.out[0], nil
}

// wanted tells whether anything reads output i.
func (o *Operation) wanted(i int) bool {
	_, tapped := o.taps[i]
	return i == 0 || !o.optional || tapped
}

// Result is the node's value, whose memory is the operation's own. It panics
// before Allocate.
func (o *Operation) Result() *tensor.Dense { return o.out[0] }

// bind makes dense tensors of the given buffers and prepares the slices that
// the computation reads and writes, so that a run allocates nothing.
func (o *Operation) bind(f32 [][]float32, f64 [][]float64) {
	o.out = make([]*tensor.Dense, len(o.outputs))
	for i, sh := range o.outputs {
		if !o.wanted(i) {
			continue
		}
		if o.dtype == tensor.Float32 {
			o.out[i] = tensor.New(tensor.WithShape(sh...), tensor.WithBacking(f32[i]))
		} else {
			o.out[i] = tensor.New(tensor.WithShape(sh...), tensor.WithBacking(f64[i]))
		}
	}
	if o.dtype == tensor.Float32 {
		o.run = bound(o.forward.f32, f32, len(o.args), (*tensor.Dense).Float32s)
	} else {
		o.run = bound(o.forward.f64, f64, len(o.args), (*tensor.Dense).Float64s)
	}
}

func bound[T kernel.Float](f func(out, in [][]T), out [][]T, args int, data func(*tensor.Dense) []T) func([]G.Value) {
	in := make([][]T, args)
	return func(vs []G.Value) {
		for i, v := range vs {
			in[i] = data(v.(*tensor.Dense))
		}
		f(out, in)
	}
}

// Arity is the number of inputs.
func (o *Operation) Arity() int { return len(o.args) }

// Type returns a fresh function type: Gorgonia keeps and reuses what it gets.
func (o *Operation) Type() hm.Type {
	ts := append(make([]hm.Type, 0, len(o.args)+1), o.args...)
	return hm.NewFnType(append(ts, G.TensorType{Dims: o.outputs[0].Dims(), Of: o.dtype})...)
}

// InferShape returns the shape of the node's value.
func (o *Operation) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return o.outputs[0].Clone(), nil
}

// ReturnsPtr is true: the value is the operation's own buffer.
func (o *Operation) ReturnsPtr() bool { return true }

// CallsExtern is false, or the tape machine would allocate on every run.
func (o *Operation) CallsExtern() bool { return false }

// OverwritesInput is −1: every operation has a register of its own.
func (o *Operation) OverwritesInput() int { return -1 }

// WriteHash writes what is unique to the instance.
func (o *Operation) WriteHash(h hash.Hash) { fmt.Fprintf(h, "tessera.%s#%d", o.name, o.id) }

// Hashcode is the 32-bit form of WriteHash.
func (o *Operation) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *Operation) String() string { return o.name }

// DiffWRT reports every input of a differentiable operation: which gradients
// exist is known to Backward.
func (o *Operation) DiffWRT(n int) []bool {
	d := make([]bool, n)
	for i := range d {
		d[i] = o.backward != nil
	}
	return d
}

// SymDiff is Backward for all inputs, as Gorgonia's interface has it.
func (o *Operation) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	return o.Backward(in, out, grad, o.DiffWRT(len(in)))
}

// Backward adds the gradient nodes of the inputs that are needed; an entry is
// nil where the operation does not depend smoothly on the input.
func (o *Operation) Backward(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
	if o.backward == nil {
		return make(G.Nodes, len(in)), nil
	}
	ds, err := o.backward(in, out, grad, need)
	return ds, errors.Wrapf(err, "gradient of %s", o.name)
}
