package optim_test

import (
	"math"
	"testing"

	"tessera/graph"
	"tessera/train/optim"
)

// set gives all elements of all parameters one value.
func set(params *graph.Params, v float32) {
	for p := range params.All() {
		w := p.Float32s()
		for i := range w {
			w[i] = v
		}
	}
}

func update(t *testing.T, e *optim.EMA, params *graph.Params) {
	t.Helper()
	if err := e.Update(params); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, e *optim.EMA, params *graph.Params) {
	t.Helper()
	if err := e.Swap(params); err != nil {
		t.Fatal(err)
	}
}

func TestEMA(t *testing.T) {
	for _, tt := range []struct {
		name   string
		decay  float64
		inputs []float32
		want   float64
	}{
		{"the first update copies", 0.99, []float32{5}, 5},
		{"then decay warms up", 0.99, []float32{5, 16}, 5*2./11 + 16*9./11},
		{"and grows", 0.99, []float32{0, 0, 4}, 4 * 9. / 12},
		{"up to its limit", 0.1, []float32{0, 0, 4}, 4 * 0.9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params, e := model(t), &optim.EMA{Decay: tt.decay}
			for _, v := range tt.inputs {
				set(params, v)
				update(t, e, params)
			}
			last := tt.inputs[len(tt.inputs)-1]
			swap(t, e, params)
			for p := range params.All() {
				want := tt.want
				if p.Frozen {
					want = float64(last)
				}
				for i, got := range p.Float32s() {
					if math.Abs(float64(got)-want) > 1e-5 {
						t.Fatalf("%s[%d] averages to %v, want %v", p.Name, i, got, want)
					}
				}
			}
			wantError(t, e.Update(params), "swapped")
			swap(t, e, params)
			for p := range params.All() {
				for i, got := range p.Float32s() {
					if got != last {
						t.Fatalf("%s[%d] = %v after a second swap, want %v", p.Name, i, got, last)
					}
				}
			}
			update(t, e, params)
		})
	}
}

func TestEMAStateRoundTrip(t *testing.T) {
	params, e := model(t), &optim.EMA{Decay: 0.9}
	for i := range 3 {
		set(params, float32(i)/3)
		update(t, e, params)
	}
	other := &optim.EMA{Decay: 0.9}
	if err := other.Restore(save(t, e.State()), params); err != nil {
		t.Fatal(err)
	}
	set(params, 0.7)
	update(t, e, params)
	update(t, other, params)
	swap(t, e, params)
	want := values(params)
	swap(t, e, params)
	swap(t, other, params)
	sameBits(t, values(params), want)
}

func TestEMAErrors(t *testing.T) {
	params, e := model(t), &optim.EMA{Decay: 0.9}
	wantError(t, e.Swap(params), "no average of parameter a.weight")
	update(t, e, params)

	s := graph.NewScope(graph.Seed(1))
	s.Sub("a").Param("bias", graph.Ones, 2)
	wantError(t, e.Update(s.Params()), "a.bias has shape [131], the parameter [2]")
	wantError(t, e.Swap(s.Params()), "a.bias has shape [131], the parameter [2]")
	wantError(t, new(optim.EMA).Restore(save(t, e.State()), s.Params()), "tensor ema.a.bias has shape [131], want [2]")
}
