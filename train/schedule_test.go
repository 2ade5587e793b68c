package train_test

import (
	"math"
	"testing"

	"tessera/train"
)

func TestSchedules(t *testing.T) {
	cosine := train.WarmupCosine(2, 4, 24)
	cooldown := train.ConstantCooldown(2, 4, 10, 24)
	for _, tt := range []struct {
		name  string
		rates train.Schedule
		step  int
		want  float64
	}{
		{"cosine: the first step is not 0", cosine, 0, 0.5},
		{"cosine: warmup is linear", cosine, 2, 1.5},
		{"cosine: warmup ends at the peak", cosine, 3, 2},
		{"cosine: decay begins at the peak", cosine, 4, 2},
		{"cosine: a quarter", cosine, 9, 1 + math.Sqrt2/2},
		{"cosine: half", cosine, 14, 1},
		{"cosine: the last step", cosine, 23, 1 - math.Cos(math.Pi/20)},
		{"cosine: the end", cosine, 24, 0},
		{"cosine: after the end", cosine, 99, 0},
		{"cosine: no warmup", train.WarmupCosine(2, 0, 10), 0, 2},
		{"cosine: warmup alone", train.WarmupCosine(2, 8, 8), 7, 2},
		{"cosine: cut warmup", train.WarmupCosine(2, 8, 4), 3, 1},
		{"cosine: after cut warmup", train.WarmupCosine(2, 8, 4), 9, 2},
		{"cosine: no steps", train.WarmupCosine(2, 0, 0), 0, 2},
		{"constant: warmup", train.Constant(2, 4), 1, 1},
		{"constant: after it", train.Constant(2, 4), 1000, 2},
		{"constant: no warmup", train.Constant(2, 0), 0, 2},
		{"cooldown: warmup", cooldown, 0, 0.5},
		{"cooldown: constant", cooldown, 13, 2},
		{"cooldown: begins at the peak", cooldown, 14, 2},
		{"cooldown: half", cooldown, 19, 1},
		{"cooldown: the end", cooldown, 24, 0},
		{"cooldown: after the end", cooldown, 99, 0},
		{"cooldown: waits for the warmup", train.ConstantCooldown(2, 4, 100, 8), 3, 2},
		{"cooldown: falls from the peak", train.ConstantCooldown(2, 4, 100, 8), 6, 1},
		{"cooldown: none", train.ConstantCooldown(2, 4, 0, 8), 7, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rates(tt.step); math.Abs(got-tt.want) > 1e-12 {
				t.Errorf("step %d: rate %v, want %v", tt.step, got, tt.want)
			}
		})
	}
}
