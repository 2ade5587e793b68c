package search

import (
	"math"
	"testing"
	"time"
)

func TestMeasures(t *testing.T) {
	gains := map[string]float64{"a": 3, "b": 2, "c": 1, "bad": -1, "none": 0}
	best := 3 + 2/math.Log2(3) + 1/2.
	for _, tt := range []struct {
		name         string
		hits         []string
		k            int
		recall, ndcg float64
	}{
		{"best", []string{"a", "b", "c"}, 10, 1, 1},
		{"reversed", []string{"c", "b", "a"}, 3, 1, (1 + 2/math.Log2(3) + 3/2.) / best},
		{"cut", []string{"x", "a", "b"}, 2, 1. / 3, 3 / math.Log2(3) / (3 + 2/math.Log2(3))},
		{"twice", []string{"c", "c", "c"}, 3, 1. / 3, 1 / best},
		{"worthless", []string{"bad", "none"}, 2, 0, 0},
		{"nothing", nil, 10, 0, 0},
		{"no place", []string{"a"}, 0, 0, 0},
	} {
		if got := Recall(tt.hits, gains, tt.k); got != tt.recall {
			t.Errorf("%s: recall %g, want %g", tt.name, got, tt.recall)
		}
		if got := NDCG(tt.hits, gains, tt.k); math.Abs(got-tt.ndcg) > 1e-12 {
			t.Errorf("%s: NDCG %g, want %g", tt.name, got, tt.ndcg)
		}
	}
	if r, n := Recall([]string{"a"}, nil, 1), NDCG([]string{"a"}, nil, 1); r != 0 || n != 0 {
		t.Errorf("nothing relevant: %g and %g, want 0", r, n)
	}
}

func TestPercentile(t *testing.T) {
	d := []time.Duration{5, 1, 4, 2, 3}
	for _, tt := range []struct {
		p    float64
		want time.Duration
	}{{1, 1}, {20, 1}, {21, 2}, {50, 3}, {99, 5}, {100, 5}} {
		if got := Percentile(d, tt.p); got != tt.want {
			t.Errorf("percentile %g = %d, want %d", tt.p, got, tt.want)
		}
	}
	if d[0] != 5 {
		t.Error("the durations were sorted in place")
	}
	if got := Percentile(nil, 50); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
