package train

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/train/data"
)

func TestRunLearns(t *testing.T) {
	m := newLinear(0)
	tr := newTrainer(m, 400)
	tr.Schedule = Constant(0.05, 0)
	tr.Optimizer.WeightDecay = 0
	var losses []float64
	tr.Hooks = []Hook{func(s *Step) error {
		losses = append(losses, s.Loss)
		if s.N != len(losses) || s.Images != 4*s.N || s.Last != (s.N == 400) {
			t.Errorf("step %d: images %d, last %v", s.N, s.Images, s.Last)
		}
		if _, ok := s.Metrics["mean_y"]; !ok || len(s.Metrics) != 1 {
			t.Errorf("metrics are %v, want mean_y alone", s.Metrics)
		}
		return nil
	}}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(losses) != 400 || losses[399] > losses[0]/100 {
		t.Errorf("%d losses, first %g, last %g", len(losses), losses[0], losses[len(losses)-1])
	}
	if tr.Done() != 400 {
		t.Errorf("Done() = %d, want 400", tr.Done())
	}
}

func TestAccumulateEqualsLargeBatch(t *testing.T) {
	for _, k := range []int{1, 3} {
		large, small := newLinear(0), newLinear(0)
		a, b := newTrainer(large, 20), newTrainer(small, 20)
		a.BatchSize, a.Data = 4*k, endless(4*k, nil)
		b.Accumulate = k
		var la, lb []float64
		a.Hooks = []Hook{func(s *Step) error { la = append(la, s.Loss, s.GradNorm, s.Metrics["mean_y"]); return nil }}
		b.Hooks = []Hook{func(s *Step) error { lb = append(lb, s.Loss, s.GradNorm, s.Metrics["mean_y"]); return nil }}
		for _, tr := range []*Trainer{a, b} {
			if err := tr.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range la {
			if math.Abs(la[i]-lb[i]) > 1e-5 {
				t.Fatalf("%d micro-batches: value %d is %g, want %g", k, i, lb[i], la[i])
			}
		}
		want, got := large.weight.Float32s(), small.weight.Float32s()
		for i := range want {
			if d := math.Abs(float64(want[i] - got[i])); d > 1e-6 {
				t.Errorf("%d micro-batches: weight %d differs by %g", k, i, d)
			}
		}
	}
}

// outside computes the gradients of a model with a program of its own.
type outside struct {
	*graph.Program
	steps []uint64
}

func (o *outside) SetStep(step uint64) {
	o.steps = append(o.steps, step)
	o.Program.SetStep(step)
}

func (o *outside) Run(batch graph.Values) (float64, error) {
	err := o.Program.Run(batch)
	return o.Scalar("loss"), err
}

func TestGradientsFromOutside(t *testing.T) {
	inside, other := newLinear(0), newLinear(0)
	a, b := newTrainer(inside, 20), newTrainer(other, 20)
	prog, err := graph.Compile(func(g *graph.Builder) {
		loss := other.Loss(g, 4)
		g.Output("loss", loss)
		g.Minimize(loss)
	}, &graph.Options{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	source := &outside{Program: prog}
	b.Gradients, b.Accumulate, a.Accumulate = source, 2, 2
	b.Hooks = []Hook{func(s *Step) error {
		if len(s.Metrics) != 0 || !(s.Loss > 0) {
			t.Errorf("step %d: loss %g, metrics %v", s.N, s.Loss, s.Metrics)
		}
		return nil
	}}
	for _, tr := range []*Trainer{a, b} {
		if err := tr.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(inside.weight.Float32s(), other.weight.Float32s()) {
		t.Errorf("weights %v, want %v", other.weight.Float32s(), inside.weight.Float32s())
	}
	if len(source.steps) != 40 || source.steps[0] != 0 || source.steps[39] != 39 {
		t.Errorf("%d runs, numbered %v", len(source.steps), source.steps)
	}
}

func TestNotFiniteStopsBeforeTheUpdate(t *testing.T) {
	m := newLinear(0)
	tr := newTrainer(m, 10)
	tr.last = "run/step-00000002"
	tr.Data = endless(4, func(step int, m *data.Minibatch) {
		if step == 4 {
			m.Batch["x"].Float32s()[5] = float32(math.Inf(1))
		}
	})
	var before []float32
	tr.Hooks = []Hook{func(s *Step) error { before = slices.Clone(m.weight.Float32s()); return nil }}
	err := tr.Run(context.Background())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"step 5", "0.01", "run/step-00000002"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %q", err, want)
		}
	}
	if tr.Done() != 4 || !slices.Equal(before, m.weight.Float32s()) {
		t.Errorf("%d steps done, weights %v, want 4 and %v", tr.Done(), m.weight.Float32s(), before)
	}
}

func TestMixedBatchesReportNoMetrics(t *testing.T) {
	tr := newTrainer(newLinear(0), 4)
	tr.Accumulate = 2
	tr.Data = endless(4, func(step int, m *data.Minibatch) { m.Mixed = step < 4 || step == 5 }) // steps 1, 2, half of 3
	tr.Hooks = []Hook{func(s *Step) error {
		if _, ok := s.Metrics["mean_y"]; ok == (s.N <= 2) || s.Mixed != (s.N <= 2) {
			t.Errorf("step %d: mixed %v, metrics %v", s.N, s.Mixed, s.Metrics)
		}
		if s.N == 3 {
			want := 0.0 // the unmixed half alone
			for _, v := range examples(span(16, 4)).Batch["y"].Float32s() {
				want += float64(v) / 8
			}
			if got := s.Metrics["mean_y"]; math.Abs(got-want) > 1e-6 {
				t.Errorf("mean_y of step 3 = %g, want %g", got, want)
			}
		}
		return nil
	}}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestEndings(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		hook func(s *Step, cancel func()) error
		want error
		done int
	}{
		{"runs to the end", func(*Step, func()) error { return nil }, nil, 5},
		{"a hook stops it", func(s *Step, _ func()) error {
			if s.N == 2 {
				return errors.Wrap(ErrStop, "patience")
			}
			return nil
		}, nil, 2},
		{"a hook fails", func(s *Step, _ func()) error {
			if s.N == 3 {
				return boom
			}
			return nil
		}, boom, 3},
		{"cancelled in a hook, it does one more step", func(s *Step, cancel func()) error {
			if s.N == 2 {
				cancel()
			}
			return nil
		}, context.Canceled, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			tr := newTrainer(newLinear(0), 5)
			tr.Hooks = []Hook{func(s *Step) error { return tt.hook(s, cancel) }}
			if err := tr.Run(ctx); !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
				t.Errorf("Run: %v, want %v", err, tt.want)
			}
			if tr.Done() != tt.done {
				t.Errorf("%d steps done, want %d", tr.Done(), tt.done)
			}
		})
	}
}

func TestCancelledStepIsTheLastOne(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tr := newTrainer(newLinear(0), 9)
	tr.After = func(*graph.Params) {
		if tr.Done() == 3 { // within step 4
			cancel()
		}
	}
	last := 0
	tr.Hooks = []Hook{func(s *Step) error {
		if s.Last {
			last = s.N
		}
		return nil
	}}
	if err := tr.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v, want %v", err, context.Canceled)
	}
	if last != 4 || tr.Done() != 4 {
		t.Errorf("last step %d, done %d, want 4", last, tr.Done())
	}
	if err := tr.Run(ctx); !errors.Is(err, context.Canceled) || tr.Done() != 4 {
		t.Errorf("Run again: %v with %d steps done", err, tr.Done())
	}
}

func TestRunRejects(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Trainer)
		want string
	}{
		{"no model", func(tr *Trainer) { tr.Model = nil }, "must be set"},
		{"no examples in a batch", func(tr *Trainer) { tr.BatchSize = 0 }, "batch size is 0"},
		{"negative steps", func(tr *Trainer) { tr.Steps = -1 }, "-1 steps"},
		{"negative norm", func(tr *Trainer) { tr.ClipNorm = -1 }, "norm -1"},
		{"norm that is no number", func(tr *Trainer) { tr.ClipNorm = math.NaN() }, "norm NaN"},
		{"batches of another size", func(tr *Trainer) { tr.Data = endless(3, nil) }, "step 1: graph: input"},
		{"data that ends", func(tr *Trainer) {
			tr.Data = func(int) iter.Seq2[data.Minibatch, error] { return epoch(8, 4) }
		}, "step 3: the data ended"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTrainer(newLinear(0), 3)
			tt.edit(tr)
			if err := tr.Run(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestClipBoundsTheGradient(t *testing.T) {
	// Adam is blind to a constant factor, but not to Eps beside it.
	run := func(clip float64) []float32 {
		m := newLinear(0)
		tr := newTrainer(m, 1)
		tr.Optimizer.Eps = 1
		tr.ClipNorm = clip
		if err := tr.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		return m.weight.Float32s()
	}
	free, loose, tight := run(0), run(1e9), run(1e-3)
	if !slices.Equal(free, loose) {
		t.Errorf("a bound above the norm changed the step: %v, %v", free, loose)
	}
	if slices.Equal(free, tight) {
		t.Error("a bound below the norm changed nothing")
	}
}

func TestEvery(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want []int
	}{{1, []int{1, 2, 3, 4, 5, 6, 7}}, {3, []int{3, 6}}, {8, nil}, {0, nil}, {-1, nil}} {
		var got []int
		h := Every(tt.n, func(s *Step) error { got = append(got, s.N); return nil })
		for i := 1; i <= 7; i++ {
			if err := h(&Step{N: i, Last: i == 7}); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("Every(%d) ran after %v, want %v", tt.n, got, tt.want)
		}
	}
}
