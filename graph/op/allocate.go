package op

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Usage tells how many bytes of results a graph needs.
type Usage struct {
	Results int64 // bytes of all results, if none shared a buffer
	Buffers int64 // bytes allocated
}

// Allocate gives every operation of a graph its buffers. order is the order of
// execution. Results whose last reader has run give their memory to later
// ones; those of the nodes in keep stay until the next run.
func Allocate(order G.Nodes, to func(*G.Node) G.Nodes, keep G.Nodes) Usage {
	var u Usage
	last := lastUse(order, to, keep)
	free := map[slab][]buffer{}     // by type and size
	expire := map[int][]*occupied{} // by time of last use
	for t, n := range order {
		o, ok := n.Op().(*Operation)
		switch {
		case !ok:
		case o.master != nil:
			o.out = []*tensor.Dense{o.master.out[o.tapped]}
		default:
			f32 := make([][]float32, len(o.outputs))
			f64 := make([][]float64, len(o.outputs))
			for i, sh := range o.outputs {
				if !o.wanted(i) {
					continue
				}
				key := slab{o.dtype, sh.TotalSize()}
				u.Results += key.bytes()
				var b buffer
				if l := free[key]; len(l) > 0 {
					b, free[key] = l[len(l)-1], l[:len(l)-1]
				} else {
					b = key.make()
					u.Buffers += key.bytes()
				}
				f32[i], f64[i] = b.f32, b.f64
				end := last[output{o, i}]
				if end < t {
					end = t
				}
				expire[end] = append(expire[end], &occupied{key, b})
			}
			o.bind(f32, f64)
		}
		for _, b := range expire[t] {
			free[b.slab] = append(free[b.slab], b.buffer)
		}
	}
	return u
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

type slab struct {
	dtype tensor.Dtype
	size  int
}

func (s slab) bytes() int64 { return int64(s.size) * int64(s.dtype.Size()) }

func (s slab) make() buffer {
	if s.dtype == tensor.Float32 {
		return buffer{f32: make([]float32, s.size)}
	}
	return buffer{f64: make([]float64, s.size)}
}

type buffer struct {
	f32 []float32
	f64 []float64
}

type occupied struct {
	slab
	buffer
}
