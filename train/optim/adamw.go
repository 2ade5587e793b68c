package optim

import (
	"maps"
	"math"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/kernel"
	"tessera/graph/kernel/simd"
	"tessera/graph/safetensors"
)

// AdamW is Adam with decoupled weight decay (arXiv:1711.05101). Step t does,
// for each weight w with gradient g,
//
//	w ← w − η·λ·w
//	m ← β₁·m + (1−β₁)·g
//	v ← β₂·v + (1−β₂)·g²
//	w ← w − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
//
// in float32, with coefficients computed in float64. The zero value is Adam
// with the usual constants and no decay.
type AdamW struct {
	Beta1, Beta2 float64 // of the moments; 0 means 0.9 and 0.999
	Eps          float64 // 0 means 1e-8
	WeightDecay  float64 // λ

	Decays func(*graph.Param) bool    // which parameters decay; nil: Matrices
	Rate   func(*graph.Param) float64 // multiplies the learning rate; nil: 1

	step    int64
	moments map[string]*moments
	checks  int64 // calls of check
	work    *work
}

// moments are the running means of a parameter's gradient and of its square.
type moments struct {
	shape   []int
	m, v    []float32
	checked int64 // by which call of check
}

// work is what one step does, in memory that the next one uses again.
type work struct {
	updates []update
	run     func(i int)
}

// chunk is how many elements one update handles.
const chunk = 1 << 14

// update is a run of elements of one parameter and the coefficients that all
// of them share.
type update struct {
	w, g, m, v []float32
	c          simd.AdamW
}

// Step updates the parameters of grads in place with learning rate lr, after
// multiplying gradients by scale, as for clipping. It is an error if lr or
// scale is not finite, if a parameter or gradient is not float32, or if a name
// occurs twice; then nothing has changed.
func (a *AdamW) Step(lr, scale float64, grads []graph.Grad) error {
	if err := a.check(lr, scale, grads); err != nil {
		return err
	}
	if a.moments == nil {
		a.moments = map[string]*moments{}
	}
	if a.work == nil {
		k := &work{}
		k.run = func(i int) { k.updates[i].run() }
		a.work = k
	}
	a.step++
	updates := a.work.updates[:0]
	for _, g := range grads {
		p := g.Param
		w, d := p.Value.Float32s(), g.Value.Float32s()
		s, ok := a.moments[p.Name]
		if !ok {
			s = &moments{shape: slices.Clone(p.Shape()), m: make([]float32, len(w)), v: make([]float32, len(w))}
			a.moments[p.Name] = s
		}
		c := a.coefficients(p, lr, scale)
		for lo := 0; lo < len(w); lo += chunk {
			hi := min(lo+chunk, len(w))
			updates = append(updates, update{w[lo:hi], d[lo:hi], s.m[lo:hi], s.v[lo:hi], c})
		}
	}
	a.work.updates = updates
	kernel.Parallel(len(updates), a.work.run)
	clear(updates) // they hold on to gradients
	return nil
}

func (a *AdamW) check(lr, scale float64, grads []graph.Grad) error {
	if math.IsNaN(lr) || math.IsInf(lr, 0) || math.IsNaN(scale) || math.IsInf(scale, 0) {
		return errors.Errorf("optim: learning rate %v, gradient scale %v, want finite numbers", lr, scale)
	}
	a.checks++
	var fresh map[string]bool // parameters that have no moments yet
	for _, g := range grads {
		p := g.Param
		s, known := a.moments[p.Name]
		if fresh[p.Name] || known && s.checked == a.checks {
			return errors.Errorf("optim: two gradients for parameter %s", p.Name)
		}
		if known {
			s.checked = a.checks
		} else {
			if fresh == nil {
				fresh = map[string]bool{}
			}
			fresh[p.Name] = true
		}
		if g.Value == nil {
			return errors.Errorf("optim: no gradient for parameter %s", p.Name)
		}
		if p.Value.Dtype() != tensor.Float32 || g.Value.Dtype() != tensor.Float32 {
			return errors.Errorf("optim: parameter %s is %v and its gradient %v, want float32", p.Name, p.Value.Dtype(), g.Value.Dtype())
		}
		n := p.Shape().TotalSize()
		if got := g.Value.Shape(); got.TotalSize() != n {
			return errors.Errorf("optim: the gradient of parameter %s has shape %v, want %v", p.Name, []int(got), []int(p.Shape()))
		}
		if known && len(s.m) != n {
			return errors.Errorf("optim: parameter %s had shape %v in earlier steps, now %v", p.Name, s.shape, []int(p.Shape()))
		}
	}
	return nil
}

func (a *AdamW) coefficients(p *graph.Param, lr, scale float64) simd.AdamW {
	decays := a.Decays
	if decays == nil {
		decays = Matrices
	}
	if a.Rate != nil {
		lr *= a.Rate(p)
	}
	keep := 1.0
	if decays(p) {
		keep -= lr * a.WeightDecay
	}
	beta1, beta2, t := orDefault(a.Beta1, 0.9), orDefault(a.Beta2, 0.999), float64(a.step)
	return simd.AdamW{
		Scale: float32(scale),
		Keep:  float32(keep),
		Mix1:  float32(1 - beta1),
		Beta2: float32(beta2),
		Mix2:  float32(1 - beta2),
		Rate:  float32(lr / (1 - math.Pow(beta1, t))),
		Root2: float32(1 / math.Sqrt(1-math.Pow(beta2, t))),
		Eps:   float32(orDefault(a.Eps, 1e-8)),
	}
}

func orDefault(x, def float64) float64 {
	if x == 0 {
		return def
	}
	return x
}

// run updates every element in one pass. The conversions around products keep
// compilers from fusing them into sums, so all architectures round alike, and
// as the fast kernel does.
func (u *update) run() {
	g, m, v := u.g[:len(u.w)], u.m[:len(u.w)], u.v[:len(u.w)]
	if simd.Active() != simd.None {
		u.c.Step(u.w, g, m, v)
		return
	}
	c := u.c
	for i, w := range u.w {
		d := g[i] * c.Scale
		mi := m[i] + float32((d-m[i])*c.Mix1)
		vi := float32(v[i]*c.Beta2) + float32(float32(d*d)*c.Mix2)
		m[i], v[i] = mi, vi
		root := float32(math.Sqrt(float64(vi)))
		u.w[i] = float32(w*c.Keep) - float32(c.Rate*(mi/(float32(root*c.Root2)+c.Eps)))
	}
}

// State returns the moments as "m.<name>" and "v.<name>", each of the shape of
// its parameter, and the number of steps as "step". The tensors share memory
// with the optimizer: write them before the next Step.
func (a *AdamW) State() []safetensors.Tensor {
	out := []safetensors.Tensor{{Name: stepName, Shape: []int{}, Data: []int64{a.step}}}
	for _, name := range slices.Sorted(maps.Keys(a.moments)) {
		s := a.moments[name]
		out = append(out,
			safetensors.Tensor{Name: "m." + name, Shape: s.shape, Data: s.m},
			safetensors.Tensor{Name: "v." + name, Shape: s.shape, Data: s.v})
	}
	return out
}

// Restore takes up the state in f for the parameters of params that are
// trained. A state of zero steps is empty; otherwise both moments of each must
// be there, float32 and of its shape, and nothing else. After an error the
// optimizer is as before.
func (a *AdamW) Restore(f *safetensors.File, params *graph.Params) error {
	step, stored, err := restore(f, params, "m.", "v.")
	if err != nil {
		return err
	}
	state := map[string]*moments{}
	if step > 0 {
		for p := range params.Trained() {
			state[p.Name] = &moments{shape: slices.Clone(p.Shape()), m: stored["m."+p.Name], v: stored["v."+p.Name]}
		}
	}
	a.step, a.moments = step, state
	return nil
}
