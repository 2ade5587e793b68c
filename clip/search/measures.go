package search

import (
	"math"
	"slices"
	"time"
)

// Recall is the share of the relevant IDs that are among the first k of hits.
// It is 0 if nothing is relevant; leave such queries out of a mean.
func Recall(hits []string, relevant map[string]float64, k int) float64 {
	all, found := 0, 0
	for _, gain := range relevant {
		if gain > 0 {
			all++
		}
	}
	if all == 0 {
		return 0
	}
	seen := make(map[string]bool)
	for _, id := range hits[:min(max(k, 0), len(hits))] {
		if relevant[id] > 0 && !seen[id] {
			found++
		}
		seen[id] = true
	}
	return float64(found) / float64(all)
}

// NDCG is the normalized discounted cumulative gain of the first k of hits,
//
//	DCG = Σ gain(i) / log2(i + 1), i = 1, …, k,
//
// divided by that of the best order (doi:10.1145/582415.582418). IDs without a
// gain have 0, as has a second hit of one ID. It is 0 if nothing has a gain;
// leave such queries out of a mean.
func NDCG(hits []string, gains map[string]float64, k int) float64 {
	var best []float64
	for _, g := range gains {
		if g > 0 {
			best = append(best, g)
		}
	}
	if len(best) == 0 || k < 1 {
		return 0
	}
	slices.SortFunc(best, func(a, b float64) int { return compareNumbers(b, a) })
	seen := make(map[string]bool)
	var got []float64
	for _, id := range hits[:min(k, len(hits))] {
		g := 0.
		if !seen[id] {
			g = max(0, gains[id])
		}
		seen[id] = true
		got = append(got, g)
	}
	return discounted(got) / discounted(best[:min(k, len(best))])
}

func discounted(gains []float64) (sum float64) {
	for i, g := range gains {
		sum += g / math.Log2(float64(i+2))
	}
	return sum
}

// Percentile is the least of the durations that at least p percent of them do
// not exceed, 0 < p ≤ 100; 0 if there are none.
func Percentile(durations []time.Duration, p float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	d := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(p / 100 * float64(len(d))))
	return d[min(max(rank, 1), len(d))-1]
}
