package optim_test

import (
	"math"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/train/optim"
)

// twin is AdamW in float64, as the paper has it, for one parameter.
type twin struct{ w, m, v []float64 }

func (k *twin) step(g []float32, t int, lr, beta1, beta2, eps, decay, scale float64) {
	for i := range k.w {
		d := float64(g[i]) * scale
		k.m[i] = beta1*k.m[i] + (1-beta1)*d
		k.v[i] = beta2*k.v[i] + (1-beta2)*d*d
		m := k.m[i] / (1 - math.Pow(beta1, float64(t)))
		v := k.v[i] / (1 - math.Pow(beta2, float64(t)))
		k.w[i] = k.w[i]*(1-lr*decay) - lr*m/(math.Sqrt(v)+eps)
	}
}

func TestAdamWAgainstDoublePrecision(t *testing.T) {
	bias := func(p *graph.Param) bool { return p.Name == "a.bias" }
	slow := func(p *graph.Param) float64 { return 1 / float64(1+p.Shape().Dims()) }
	for _, tt := range []struct {
		name              string
		opt               optim.AdamW
		beta1, beta2, eps float64
		decays            func(*graph.Param) bool
		rate              func(*graph.Param) float64
	}{
		{"defaults", optim.AdamW{}, 0.9, 0.999, 1e-8, optim.All, nil},
		{"decay of matrices", optim.AdamW{WeightDecay: 0.3}, 0.9, 0.999, 1e-8, optim.Matrices, nil},
		{"decay of all", optim.AdamW{WeightDecay: 0.3, Decays: optim.All}, 0.9, 0.999, 1e-8, optim.All, nil},
		{"decay of biases", optim.AdamW{WeightDecay: 0.3, Decays: bias}, 0.9, 0.999, 1e-8, bias, nil},
		{"other constants", optim.AdamW{Beta1: 0.8, Beta2: 0.98, Eps: 1e-3}, 0.8, 0.98, 1e-3, optim.All, nil},
		{"rates", optim.AdamW{Rate: slow, WeightDecay: 0.3}, 0.9, 0.999, 1e-8, optim.Matrices, slow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params := model(t)
			twins := map[string]*twin{}
			for p := range params.All() {
				k := &twin{m: make([]float64, len(p.Float32s())), v: make([]float64, len(p.Float32s()))}
				for _, w := range p.Float32s() {
					k.w = append(k.w, float64(w))
				}
				twins[p.Name] = k
			}
			r := random(3)
			for step := 1; step <= 6; step++ {
				lr, scale := 0.02/float64(step), 1/float64(step)
				grads := gradients(params, r)
				for _, g := range grads {
					rate, decay := lr, 0.0
					if tt.rate != nil {
						rate *= tt.rate(g.Param)
					}
					if tt.decays(g.Param) {
						decay = tt.opt.WeightDecay
					}
					twins[g.Param.Name].step(g.Value.Float32s(), step, rate, tt.beta1, tt.beta2, tt.eps, decay, scale)
				}
				if err := tt.opt.Step(lr, scale, grads); err != nil {
					t.Fatal(err)
				}
			}
			for p := range params.All() {
				for i, w := range p.Float32s() {
					if want := twins[p.Name].w[i]; math.Abs(float64(w)-want) > 2e-6*max(1, math.Abs(want)) {
						t.Fatalf("%s[%d] = %v, want %v", p.Name, i, w, want)
					}
				}
			}
		})
	}
}

func TestAdamWIgnoresProcessors(t *testing.T) {
	var got [2]map[string][]float32
	for i, n := range []int{1, 5} {
		withProcs(n, func() {
			params, r, opt := model(t), random(4), optim.AdamW{WeightDecay: 0.1}
			for range 3 {
				if err := opt.Step(0.01, 0.7, gradients(params, r)); err != nil {
					t.Fatal(err)
				}
			}
			got[i] = values(params)
		})
	}
	sameBits(t, got[1], got[0])
}

func TestAdamWStateRoundTrip(t *testing.T) {
	for _, before := range []int{0, 3} { // steps before the state is saved
		whole, r := model(t), random(5)
		opt := &optim.AdamW{WeightDecay: 0.1}
		step := func(opt *optim.AdamW, params *graph.Params, seed uint64) {
			t.Helper()
			if err := opt.Step(0.01, 1, gradients(params, random(seed))); err != nil {
				t.Fatal(err)
			}
		}
		for range before {
			step(opt, whole, r.Uint64())
		}
		resumed := model(t)
		for p := range whole.All() {
			copy(resumed.Get(p.Name).Float32s(), p.Float32s())
		}
		other := &optim.AdamW{WeightDecay: 0.1}
		step(other, model(t), 1) // a state to be forgotten
		if err := other.Restore(save(t, opt.State()), resumed); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			seed := r.Uint64()
			step(opt, whole, seed)
			step(other, resumed, seed)
		}
		sameBits(t, values(resumed), values(whole))
	}
}

func TestAdamWRestoreErrors(t *testing.T) {
	good := func() []safetensors.Tensor {
		opt, params := &optim.AdamW{}, model(t)
		if err := opt.Step(0.01, 1, gradients(params, random(6))); err != nil {
			t.Fatal(err)
		}
		return opt.State()
	}
	edit := func(name string, f func(*safetensors.Tensor)) []safetensors.Tensor {
		state := good()
		for i := range state {
			if state[i].Name == name {
				f(&state[i])
			}
		}
		return state
	}
	for _, tt := range []struct {
		name  string
		state []safetensors.Tensor
		want  string
	}{
		{"nothing", nil, `no tensor "step"`},
		{"step is not an integer", edit("step", func(s *safetensors.Tensor) { s.Data = []float32{1} }), `"step" is F32`},
		{"steps", edit("step", func(s *safetensors.Tensor) { s.Shape, s.Data = []int{2}, []int64{1, 2} }), `shape [2]`},
		{"negative step", edit("step", func(s *safetensors.Tensor) { s.Data = []int64{-1} }), `"step" is -1`},
		{"no steps, but moments", edit("step", func(s *safetensors.Tensor) { s.Data = []int64{0} }), `unknown tensor m.a.bias`},
		{"missing", edit("v.a.bias", func(s *safetensors.Tensor) { s.Name = "v.b.bias" }), `no tensor v.a.bias, want shape [131]`},
		{"unknown", edit("v.a.bias", func(s *safetensors.Tensor) { s.Name = "v.b.bias" }), `unknown tensor v.b.bias`},
		{"shape", edit("m.a.weight", func(s *safetensors.Tensor) { s.Shape = []int{257, 131} }), `m.a.weight has shape [257 131], want [131 257]`},
		{"type", edit("m.logit_scale", func(s *safetensors.Tensor) { s.Data = []float64{1} }), `m.logit_scale is F64`},
		{"frozen", append(good(), safetensors.Tensor{Name: "m.old.weight", Shape: []int{2, 2}, Data: make([]float32, 4)}), `unknown tensor m.old.weight`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, new(optim.AdamW).Restore(save(t, tt.state), model(t)), tt.want)
		})
	}
}

func TestAdamWStepErrors(t *testing.T) {
	for _, tt := range []struct {
		name      string
		lr, scale float64
		edit      func(grads []graph.Grad)
		want      string
	}{
		{"rate", math.NaN(), 1, nil, "learning rate NaN"},
		{"scale", 1, math.Inf(1), nil, "gradient scale +Inf"},
		{"twice", 1, 1, func(g []graph.Grad) { g[1] = g[0] }, "two gradients for parameter a.weight"},
		{"missing", 1, 1, func(g []graph.Grad) { g[1].Value = nil }, "no gradient for parameter a.bias"},
		{"size", 1, 1, func(g []graph.Grad) { g[1].Value = dense(make([]float32, 5), 5) }, "a.bias has shape [5], want [131]"},
		{"type", 1, 1, func(g []graph.Grad) {
			g[1].Value = tensor.New(tensor.WithShape(131), tensor.WithBacking(make([]float64, 131)))
		}, "a.bias is float32 and its gradient float64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params := model(t)
			before, grads := values(params), gradients(params, random(8))
			if tt.edit != nil {
				tt.edit(grads)
			}
			opt := &optim.AdamW{}
			wantError(t, opt.Step(tt.lr, tt.scale, grads), tt.want)
			sameBits(t, values(params), before)
			if n := len(opt.State()); n != 1 {
				t.Errorf("%d tensors of state, want the step alone", n)
			}
		})
	}
}
