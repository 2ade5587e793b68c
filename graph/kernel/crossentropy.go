package kernel

import (
	"fmt"
	"math"

	"tessera/graph/kernel/simd"
)

// Cross-entropy keeps four numbers a row, which the backward pass reads: the
// greatest logit, Σ exp(logit − greatest), the weight of the row and its loss.
// Of a row that is not counted, weight and loss are 0. For soft targets the
// weight is their sum.
const (
	rowMax = iota
	rowSum
	rowWeight
	rowLoss
	rowStats
)

// CrossEntropy returns the mean over rows of −Σ target·log softmax(logits) for
// logits and targets (n, c), without rows whose targets sum to 0; 0 if no row
// is left. It fills stats (n, 4).
func CrossEntropy[T Float](stats, logits, target []T, n, c int) T {
	Chunks(n, 4*c, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			st, x, t := stats[i*rowStats:][:rowStats], logits[i*c:][:c], target[i*c:][:c]
			clear(st)
			weight := sumRun(t)
			if weight == 0 {
				continue
			}
			top, logSum := softmaxStats(st, x)
			var loss float64
			for j, v := range t {
				if v != 0 { // 0 · log 0 is 0
					loss -= float64(v) * (float64(x[j]) - top - logSum)
				}
			}
			st[rowWeight], st[rowLoss] = T(weight), T(loss)
		}
	})
	return meanLoss(stats, false)
}

// CrossEntropyBackward computes the gradient dx of the logits, dy being that of
// the mean.
func CrossEntropyBackward[T Float](dx, stats, logits, target []T, dy T, n, c int) {
	scale := float64(dy) / totalWeight(stats, false)
	Chunks(n, 2*c, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			st, to := stats[i*rowStats:][:rowStats], dx[i*c:][:c]
			if st[rowWeight] == 0 {
				clear(to)
				continue
			}
			softmaxRow(to, st, logits[i*c:], float64(st[rowWeight])*scale)
			for j, t := range target[i*c:][:c] {
				to[j] -= T(float64(t) * scale)
			}
		}
	})
}

// CrossEntropyTarget computes the gradient dt of the targets.
func CrossEntropyTarget[T Float](dt, stats, logits []T, dy T, n, c int) {
	scale := float64(dy) / totalWeight(stats, false)
	Chunks(n, 2*c, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			st, to := stats[i*rowStats:][:rowStats], dt[i*c:][:c]
			if st[rowWeight] == 0 {
				clear(to)
				continue
			}
			top, logSum := float64(st[rowMax]), math.Log(float64(st[rowSum]))
			for j, v := range logits[i*c:][:c] {
				to[j] = T(-(float64(v) - top - logSum) * scale)
			}
		}
	})
}

// CrossEntropyIDs returns the mean of −log softmax(logits)[id], weighted by
// weights (n), which may be nil, for logits (n, v) and ids (n). Rows with a
// negative id or weight 0 are not counted; 0 if no row is left. It fills stats
// (n, 4), and panics with an error on ids that are not whole or not below v.
func CrossEntropyIDs[T Float](stats, logits, ids, weights []T, n, v int) T {
	for _, id := range ids {
		if !(id < 0) {
			index(id, v)
		} else if id != T(math.Trunc(float64(id))) {
			panic(fmt.Errorf("id %v is not a whole number", id))
		}
	}
	Chunks(n, 2*v, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			st, x := stats[i*rowStats:][:rowStats], logits[i*v:][:v]
			clear(st)
			weight := T(1)
			if weights != nil {
				weight = weights[i]
			}
			if ids[i] < 0 || weight == 0 {
				continue
			}
			top, logSum := softmaxStats(st, x)
			st[rowWeight] = weight
			st[rowLoss] = weight * T(logSum-(float64(x[int(ids[i])])-top))
		}
	})
	return meanLoss(stats, true)
}

// CrossEntropyIDsBackward computes the gradient dx of the logits, dy being that
// of the mean.
func CrossEntropyIDsBackward[T Float](dx, stats, logits, ids []T, dy T, n, v int) {
	scale := float64(dy) / totalWeight(stats, true)
	Chunks(n, 2*v, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			st, to := stats[i*rowStats:][:rowStats], dx[i*v:][:v]
			if st[rowWeight] == 0 {
				clear(to)
				continue
			}
			w := float64(st[rowWeight]) * scale
			softmaxRow(to, st, logits[i*v:], w)
			to[int(ids[i])] -= T(w)
		}
	})
}

// softmaxStats fills the first two numbers of a row and returns the first and
// the logarithm of the second.
func softmaxStats[T Float](st, x []T) (top, logSum float64) {
	most := greatest(x)
	sum := sumExp(x, most)
	st[rowMax], st[rowSum] = most, T(sum)
	return float64(most), math.Log(sum)
}

// softmaxRow writes the probabilities of a row times scale.
func softmaxRow[T Float](dst, st, x []T, scale float64) {
	top := float64(st[rowMax])
	scale /= float64(st[rowSum])
	if fast[T]() {
		simd.ExpScaled(singles(dst), singles(x), float32(top), float32(scale))
		return
	}
	for j := range dst {
		dst[j] = T(math.Exp(float64(x[j])-top) * scale)
	}
}

// meanLoss is the total loss of the rows over their total weight.
func meanLoss[T Float](stats []T, weighted bool) T {
	var loss float64
	for i := rowLoss; i < len(stats); i += rowStats {
		loss += float64(stats[i])
	}
	if loss == 0 { // no row is counted, or there is nothing to lose
		return 0
	}
	return T(loss / totalWeight(stats, weighted))
}

// totalWeight adds up the weights of the rows, each 1 unless weighted.
func totalWeight[T Float](stats []T, weighted bool) float64 {
	var total float64
	for i := rowWeight; i < len(stats); i += rowStats {
		switch {
		case weighted:
			total += float64(stats[i])
		case stats[i] != 0:
			total++
		}
	}
	return total
}

// Accuracy returns the share of rows of logits (n, c) whose greatest element is
// where the target's is, without rows whose targets sum to 0.
func Accuracy[T Float](logits, target []T, n, c int) T {
	var right, counted int
	for i := range n {
		t := target[i*c:][:c]
		if sumRun(t) == 0 {
			continue
		}
		counted++
		if argmax(logits[i*c:][:c]) == argmax(t) {
			right++
		}
	}
	if counted == 0 {
		return 0
	}
	return T(right) / T(counted)
}
