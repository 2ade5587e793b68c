package vqvae

import (
	"maps"
	"runtime"
	"slices"
	"testing"

	"tessera/graph"
	"tessera/train/optim"
)

// trained takes steps on one batch of smooth images and returns the model and
// the error of the pixels before each step.
func trained(t *testing.T, kind string, steps int) (*Model, []float64) {
	t.Helper()
	c := base(16, 1, 16, 16)
	if err := c.SetQuantizer(kind, 16); err != nil {
		t.Fatal(err)
	}
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	x := images(1, 8, 1, 16, 16)
	for i := range x.Float32s() { // blocks of 4×4 pixels, as large as a token sees
		x.Float32s()[i] = float32((i/256+i/64%4+i/4%4)%3) / 2
	}
	p, err := graph.Compile(func(b *graph.Builder) { b.Minimize(m.Loss(b, 8)) }, &graph.Options{Training: true, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	adam := &optim.AdamW{}
	var errs []float64
	for step := range steps {
		p.SetStep(uint64(step))
		if err := p.Run(graph.Values{"image": x}); err != nil {
			t.Fatal(err)
		}
		if err := adam.Step(5e-3, 1, p.Grads()); err != nil {
			t.Fatal(err)
		}
		errs = append(errs, p.Scalar("recon_loss"))
	}
	return m, errs
}

// TestLearns: every codebook learns a batch of few patterns by heart.
func TestLearns(t *testing.T) {
	for _, kind := range Quantizers() {
		t.Run(kind, func(t *testing.T) {
			m, errs := trained(t, kind, 80)
			// The variance of the pixels is 0.17.
			if last := errs[len(errs)-1]; !(last < 0.02) {
				t.Errorf("error of pixels %g after %d steps, want less than 0.02", last, len(errs))
			}
			if kind != EMA {
				return
			}
			total := 0.0
			for _, n := range m.Params().Get("vq.cluster_size").Float32s() {
				total += float64(n)
			}
			if !(total > 8*16/2 && total < 8*16*1.5) {
				t.Errorf("codes have %g vectors in the mean, want about 128", total)
			}
		})
	}
}

// TestBytesDoNotDependOnCores: equal seeds give equal weights, whatever the
// number of cores.
func TestBytesDoNotDependOnCores(t *testing.T) {
	for _, kind := range Quantizers() {
		var first map[string][]float32
		for _, procs := range []int{1, 2, 5} {
			before := runtime.GOMAXPROCS(procs)
			m, _ := trained(t, kind, 3)
			runtime.GOMAXPROCS(before)
			got := map[string][]float32{}
			for p := range m.Params().All() {
				got[p.Name] = p.Float32s()
			}
			if first == nil {
				first = got
			}
			if !maps.EqualFunc(got, first, slices.Equal) {
				t.Errorf("%s: weights differ between 1 and %d cores", kind, procs)
			}
		}
	}
}
