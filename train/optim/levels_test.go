package optim_test

import (
	"testing"

	"tessera/graph/kernel/simd"
	"tessera/train/optim"
)

// The kernels of all sets of instructions round as plain code does.
func TestStepsHaveTheSameBytesAtAllLevels(t *testing.T) {
	var plain map[string][]float32
	for l := simd.None; l <= simd.Best(); l++ {
		before := simd.Use(l)
		params, r, opt := model(t), random(6), optim.AdamW{WeightDecay: 0.1}
		mean := optim.EMA{Decay: 0.5}
		for range 4 {
			if err := opt.Step(0.01, 0.7, gradients(params, r)); err != nil {
				t.Fatal(err)
			}
			update(t, &mean, params)
		}
		got := values(params)
		swap(t, &mean, params)
		for name, x := range values(params) {
			got["mean of "+name] = x
		}
		simd.Use(before)
		if l == simd.None {
			plain = got
		} else {
			sameBits(t, got, plain)
		}
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	withProcs(1, func() {
		params, opt := model(t), optim.AdamW{WeightDecay: 0.1}
		grads := gradients(params, random(7))
		step := func() {
			if err := opt.Step(0.01, 1, grads); err != nil {
				t.Fatal(err)
			}
		}
		step()
		if n := testing.AllocsPerRun(5, step); n != 0 {
			t.Errorf("a step allocates %v times", n)
		}
	})
}

// A step that fails does not spoil the next one.
func TestFailedStepsLeaveNoMark(t *testing.T) {
	params, opt := model(t), optim.AdamW{}
	grads := gradients(params, random(8))
	for range 2 { // before and after there are moments
		if err := opt.Step(0.01, 1, append(grads[:len(grads):len(grads)], grads[0])); err == nil {
			t.Fatal("two gradients for a parameter are no error")
		}
		if err := opt.Step(0.01, 1, grads); err != nil {
			t.Fatal(err)
		}
	}
}
