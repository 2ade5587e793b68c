package kernel

import "math"

// CodebookUpdate says how a codebook of moving averages follows the vectors
// assigned to its codes (arXiv:1711.00937, appendix A.1).
type CodebookUpdate struct {
	Decay float64 // d of s ← d·s + (1−d)·new, for sums and counts
	Eps   float64 // of the smoothing that keeps rare codes from dividing by 0
	Dead  float64 // share of the mean count below which a code is replaced
}

// Follow updates a codebook (k, d) by the vectors x (n, d) assigned to codes
// ids (n). counts (k) and sums (k, d) are moving averages of how many vectors a
// code gets and of what they add up to; a code is the quotient. All counts being
// 0, the codebook has not started: codes become vectors of the batch, chosen at
// random by key, and so do codes that die later. Results may not share memory
// with what is given; scratch holds k + n elements.
func Follow[T Float](newCodes, newCounts, newSums, x, ids, counts, sums, scratch []T, n, k, d int, u CodebookUpdate, key Key) {
	ScatterAdd(newSums, x, ids, scratch, k, d) // sums of the batch
	clear(newCounts)
	for _, id := range ids {
		newCounts[int(id)]++
	}
	started := false
	for _, c := range counts {
		started = started || c != 0
	}
	decay, mean := u.Decay, float64(n)/float64(k)
	if started {
		total := 0.0
		for i, c := range newCounts {
			newCounts[i] = T(decay*float64(counts[i]) + (1-decay)*float64(c))
			total += float64(newCounts[i])
		}
		Chunks(k, 4*d, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				// Laplace smoothing, which keeps the sum of all counts.
				count := (float64(newCounts[i]) + u.Eps) / (total + float64(k)*u.Eps) * total
				for j := i * d; j < (i+1)*d; j++ {
					newSums[j] = T(decay*float64(sums[j]) + (1-decay)*float64(newSums[j]))
					newCodes[j] = T(float64(newSums[j]) / count)
				}
			}
		})
	}
	if n == 0 {
		return
	}
	// A new code has the weight of a few vectors, so that it finds its place
	// soon.
	fresh := max(math.SmallestNonzeroFloat32, min(1, mean))
	for i := range k {
		if started && float64(newCounts[i]) >= u.Dead*mean {
			continue
		}
		row := x[int(key.Bits(i)%uint64(n))*d:][:d]
		newCounts[i] = T(fresh)
		copy(newCodes[i*d:], row)
		for j, v := range row {
			newSums[i*d+j] = T(fresh) * v
		}
	}
}

// Perplexity is e to the entropy of how often each of k codes occurs in ids: k
// if all are equally frequent, 1 if there is only one, 0 for no ids. scratch
// holds k elements.
func Perplexity[T Float](ids, scratch []T, k int) float64 {
	counts := scratch[:k]
	clear(counts)
	for _, id := range ids {
		counts[index(id, k)]++
	}
	if len(ids) == 0 {
		return 0
	}
	entropy := 0.0
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / float64(len(ids))
			entropy -= p * math.Log(p)
		}
	}
	return math.Exp(entropy)
}

// AddGumbel sets y = x + g, g drawn from the Gumbel distribution as the key
// decides: the greatest of a row of y is then a draw from softmax(x).
func AddGumbel[T Float](y, x []T, key Key) {
	Chunks(len(y), 32, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			u := (float64(key.Bits(i)>>11) + 0.5) * (1. / (1 << 53)) // within (0, 1)
			y[i] = x[i] - T(math.Log(-math.Log(u)))
		}
	})
}

// Round sets y to the nearest whole numbers, halves to even.
func Round[T Float](y, x []T) { each(y, x, math.RoundToEven) }
