package op

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Usage tells how many bytes of results a graph needs, and its work.
type Usage struct {
	FLOPs   int64 // of the forward products, a multiply-add counted as two
	Results int64 // bytes of all results, if none shared memory
	Live    int64 // most bytes in use at one time
	Buffers int64 // bytes allocated
}

// Allocate gives every operation of a graph its buffers. order is the order of
// execution. Results whose last reader has run give their memory to later
// ones; those of the nodes in keep stay until the next run.
func Allocate(order G.Nodes, to func(*G.Node) G.Nodes, keep G.Nodes) Usage {
	last := lastUse(order, to, keep)
	plans := map[tensor.Dtype]*plan{}
	var u Usage
	for t, n := range order {
		o, ok := n.Op().(*Operation)
		if !ok || o.master != nil {
			continue
		}
		u.FLOPs += o.flops
		if plans[o.dtype] == nil {
			plans[o.dtype] = &plan{}
		}
		for i, sh := range o.outputs {
			if o.wanted(i) {
				plans[o.dtype].add(output{o, i}, sh.TotalSize(), t, max(t, last[output{o, i}]))
			}
		}
	}
	var f32 []float32
	var f64 []float64
	for dt, p := range plans {
		p.place()
		size := int64(dt.Size())
		u.Results += size * int64(p.results)
		u.Live += size * int64(p.live(len(order)))
		u.Buffers += size * int64(p.total)
		if dt == tensor.Float32 {
			f32 = make([]float32, p.total)
		} else {
			f64 = make([]float64, p.total)
		}
	}
	for _, n := range order {
		o, ok := n.Op().(*Operation)
		switch {
		case !ok:
		case o.master != nil:
			o.out = []*tensor.Dense{o.master.out[o.tapped]}
		case o.dtype == tensor.Float32:
			o.bind(views(o, plans[o.dtype], f32), nil)
		default:
			o.bind(nil, views(o, plans[o.dtype], f64))
		}
	}
	return u
}

// views are an operation's parts of the memory for all; nil for outputs that
// nobody wants.
func views[T kernel.Float](o *Operation, p *plan, all []T) [][]T {
	out := make([][]T, len(o.outputs))
	for i := range out {
		if o.wanted(i) {
			s := p.of[output{o, i}]
			out[i] = all[s.offset : s.offset+s.size : s.offset+s.size]
		}
	}
	return out
}

// output names one result of an operation.
type output struct {
	op *Operation
	i  int
}

// lastUse finds the time at which each result is read for the last time, with
// the end of the run for kept ones. A reader of a tap reads its master.
func lastUse(order G.Nodes, to func(*G.Node) G.Nodes, keep G.Nodes) map[output]int {
	at := make(map[*G.Node]int, len(order))
	for t, n := range order {
		at[n] = t
	}
	kept := map[*G.Node]bool{}
	for _, n := range keep {
		kept[n] = true
	}
	last := map[output]int{}
	for t, n := range order {
		o, ok := n.Op().(*Operation)
		if !ok {
			continue
		}
		key := output{o, 0}
		if o.master != nil {
			key = output{o.master, o.tapped}
		}
		end := t
		for _, r := range to(n) {
			end = max(end, at[r])
		}
		if kept[n] {
			end = len(order)
		}
		last[key] = max(last[key], end)
	}
	return last
}
