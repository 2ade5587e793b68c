package optim

import (
	"maps"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/kernel"
	"tessera/graph/kernel/simd"
	"tessera/graph/safetensors"
)

// EMA keeps exponential moving averages of the parameters that are trained
// (arXiv:1412.6980, section 7.2). The first update copies the parameters;
// update t, counted from 0, then does
//
//	s ← d·s + (1−d)·w, d = min(Decay, (1+t)/(10+t))
//
// so that early weights are soon forgotten.
type EMA struct {
	Decay float64

	updates int64
	shadows map[string]shadow
	swapped bool
}

type shadow struct {
	shape  []int
	values []float32
}

// Update averages the present values in. It is an error if a parameter is not
// float32 or has changed its shape, or while averages and parameters are
// swapped.
func (e *EMA) Update(params *graph.Params) error {
	if e.swapped {
		return errors.New("optim: update of averages that are swapped with the parameters")
	}
	for p := range params.Trained() {
		if err := e.check(p); err != nil {
			return err
		}
	}
	if e.shadows == nil {
		e.shadows = map[string]shadow{}
	}
	t := float64(e.updates)
	mix := float32(1 - min(e.Decay, (1+t)/(10+t)))
	for p := range params.Trained() {
		w := p.Value.Float32s()
		s, ok := e.shadows[p.Name]
		if !ok {
			e.shadows[p.Name] = shadow{slices.Clone(p.Shape()), slices.Clone(w)}
			continue
		}
		kernel.Chunks(len(w), 1, func(lo, hi int) {
			dst := s.values[lo:hi]
			if simd.Active() != simd.None {
				simd.Mix(dst, w[lo:hi], mix)
				return
			}
			for i, x := range w[lo:hi] {
				dst[i] += float32((x - dst[i]) * mix)
			}
		})
	}
	e.updates++
	return nil
}

// check compares a parameter with its average, if there is one.
func (e *EMA) check(p *graph.Param) error {
	if p.Value.Dtype() != tensor.Float32 {
		return errors.Errorf("optim: average of parameter %s: it is %v, want float32", p.Name, p.Value.Dtype())
	}
	if s, ok := e.shadows[p.Name]; ok && !slices.Equal(s.shape, p.Shape()) {
		return errors.Errorf("optim: average of parameter %s has shape %v, the parameter %v", p.Name, s.shape, []int(p.Shape()))
	}
	return nil
}

// Swap exchanges the contents of parameters and averages, for evaluation or
// to save the averages as a model; a second call exchanges them back. It is an
// error if there is no average of a parameter, and then nothing has changed.
func (e *EMA) Swap(params *graph.Params) error {
	for p := range params.Trained() {
		if _, ok := e.shadows[p.Name]; !ok {
			return errors.Errorf("optim: no average of parameter %s", p.Name)
		}
		if err := e.check(p); err != nil {
			return err
		}
	}
	for p := range params.Trained() {
		w, s := p.Value.Float32s(), e.shadows[p.Name].values
		for i := range w {
			w[i], s[i] = s[i], w[i]
		}
	}
	e.swapped = !e.swapped
	return nil
}

// State returns the averages as "ema.<name>" and the number of updates as
// "step". The tensors share memory with the averages: write them before the
// next Update or Swap, and not between two Swaps.
func (e *EMA) State() []safetensors.Tensor {
	out := []safetensors.Tensor{{Name: stepName, Shape: []int{}, Data: []int64{e.updates}}}
	for _, name := range slices.Sorted(maps.Keys(e.shadows)) {
		s := e.shadows[name]
		out = append(out, safetensors.Tensor{Name: "ema." + name, Shape: s.shape, Data: s.values})
	}
	return out
}

// Restore takes up the state in f, as strictly as AdamW.Restore.
func (e *EMA) Restore(f *safetensors.File, params *graph.Params) error {
	updates, stored, err := restore(f, params, "ema.")
	if err != nil {
		return err
	}
	shadows := map[string]shadow{}
	if updates > 0 {
		for p := range params.Trained() {
			shadows[p.Name] = shadow{slices.Clone(p.Shape()), stored["ema."+p.Name]}
		}
	}
	e.updates, e.shadows, e.swapped = updates, shadows, false
	return nil
}
