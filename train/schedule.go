package train

import "math"

// Schedule gives the learning rate of a step. Steps count from 0.
type Schedule func(step int) float64

// WarmupCosine rises linearly to peak over the first warmup steps, from
// peak/warmup at step 0, then falls to 0 at step total along half a cosine
// (arXiv:1608.03983, without restarts), and stays there. If warmup ≥ total the
// rate only rises.
func WarmupCosine(peak float64, warmup, total int) Schedule {
	return func(step int) float64 {
		switch {
		case step < warmup:
			return rise(peak, warmup, step)
		case warmup >= total:
			return peak
		case step >= total:
			return 0
		}
		done := float64(step-warmup) / float64(total-warmup)
		return peak * (1 + math.Cos(math.Pi*done)) / 2
	}
}

// Constant rises linearly to peak over the first warmup steps, from
// peak/warmup at step 0, and stays there.
func Constant(peak float64, warmup int) Schedule {
	return func(step int) float64 { return rise(peak, warmup, step) }
}

// ConstantCooldown is Constant until cooldown steps before total and then
// falls linearly to 0 at step total. The fall never begins before the end of
// the warmup.
func ConstantCooldown(peak float64, warmup, cooldown, total int) Schedule {
	start := max(warmup, total-cooldown)
	return func(step int) float64 {
		switch {
		case step < start:
			return rise(peak, warmup, step)
		case step >= total:
			return 0
		}
		return peak * float64(total-step) / float64(total-start)
	}
}

// rise is a linear warmup, and peak after it.
func rise(peak float64, warmup, step int) float64 {
	if step >= warmup {
		return peak
	}
	return peak * float64(step+1) / float64(warmup)
}
