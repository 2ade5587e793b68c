package train

import (
	"context"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/train/data"
)

func TestEvaluate(t *testing.T) {
	m := newLinear(0.5) // dropout is off
	one := func(total, n int) Result {
		r, err := Evaluate(context.Background(), Objective(m), epoch(total, n), n)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := one(7, 7)
	for _, n := range []int{1, 2, 3, 4, 6, 7, 9} {
		got := one(7, n)
		if got.Count != 7 || len(got.Metrics) != 2 {
			t.Errorf("batches of %d: %d examples, metrics %v", n, got.Count, got.Metrics)
		}
		for name, v := range want.Metrics {
			if math.Abs(got.Metrics[name]-v) > 1e-6 {
				t.Errorf("batches of %d: %s = %g, want %g", n, name, got.Metrics[name], v)
			}
		}
	}
}

func TestEvaluateCompilesTwice(t *testing.T) {
	m := newLinear(0)
	var sizes []int
	build := func(b *graph.Builder, n int) {
		if len(sizes) == 0 || sizes[len(sizes)-1] != n { // a build may be tried again
			sizes = append(sizes, n)
		}
		Objective(m)(b, n)
	}
	if _, err := Evaluate(context.Background(), build, epoch(11, 3), 3); err != nil {
		t.Fatal(err)
	}
	if len(sizes) != 2 || sizes[0] != 3 || sizes[1] != 2 {
		t.Errorf("compiled for %v examples, want 3 and 2", sizes)
	}
}

func TestEvaluateErrors(t *testing.T) {
	boom := errors.New("boom")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	broken := func(yield func(data.Minibatch, error) bool) {
		_ = yield(examples(span(0, 2)), nil) && yield(data.Minibatch{}, boom)
	}
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		epoch iter.Seq2[data.Minibatch, error]
		want  string
	}{
		{"no examples", context.Background(), epoch(0, 4), "no examples"},
		{"too large a batch", context.Background(), epoch(5, 5), "batch of 5 examples, want at most 4"},
		{"the data fail", context.Background(), broken, "after 2 examples: boom"},
		{"cancelled", cancelled, epoch(4, 4), "context canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Evaluate(tt.ctx, Objective(newLinear(0)), tt.epoch, 4); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Evaluate: %v, want %q", err, tt.want)
			}
		})
	}
}
