package main

import (
	"fmt"
	"slices"

	"tessera/graph/kernel"
)

// recall tells how far down the list the right answer is.
type recall struct {
	Queries int `json:"queries"`
	// Queries whose answer is among the first 1, 5 and 10.
	At1  int `json:"at_1"`
	At5  int `json:"at_5"`
	At10 int `json:"at_10"`
	// Rank of the answer, from 1.
	Median int `json:"median_rank"`
}

// recallOf sums up ranks from 1.
func recallOf(ranks []int) recall {
	slices.Sort(ranks)
	within := func(k int) int {
		n, _ := slices.BinarySearch(ranks, k+1)
		return n
	}
	return recall{len(ranks), within(1), within(5), within(10), ranks[len(ranks)/2]}
}

// rate is the share of queries.
func (r recall) rate(n int) float64 { return float64(n) / float64(r.Queries) }

func (r recall) String() string {
	at := func(n int) string { return fmt.Sprintf("%.1f %% (%s)", 100*r.rate(n), thousands(n)) }
	return fmt.Sprintf("R@1 %s, R@5 %s, R@10 %s of %s, median rank %d", at(r.At1), at(r.At5), at(r.At10), thousands(r.Queries), r.Median)
}

// ranks ranks texts (m, E) by images (n, E) and images by texts, own being the
// texts of each image. An answer is the best that belongs to the query; what
// belongs to it besides does not count, and what is as close as the answer
// counts against it, so that a model that tells nothing apart is not praised.
func ranks(images, texts []float32, own [][]int, E int) (toText, toImage recall) {
	n, m := len(images)/E, len(texts)/E
	down, up := make([]int, n), make([]int, m)
	best := make([]float32, m) // cosine of a text with the closest of its images
	found := make([]bool, m)
	eachRow(images, texts, E, func(i int, row []float32) {
		answer := row[own[i][0]]
		for _, j := range own[i] {
			answer = max(answer, row[j])
			if !found[j] || row[j] > best[j] {
				best[j], found[j] = row[j], true
			}
		}
		down[i] = 1
		for j, v := range row {
			if !(v < answer) && !slices.Contains(own[i], j) {
				down[i]++
			}
		}
	})
	for j := range up {
		up[j] = 1
	}
	eachRow(images, texts, E, func(i int, row []float32) {
		for j, v := range row {
			if !(v < best[j]) && !slices.Contains(own[i], j) {
				up[j]++
			}
		}
	})
	return recallOf(down), recallOf(up)
}

// eachRow calls f with the cosines of every image with all texts.
func eachRow(images, texts []float32, E int, f func(i int, row []float32)) {
	const chunk = 256
	n, m := len(images)/E, len(texts)/E
	cosines := make([]float32, min(chunk, n)*m)
	for lo := 0; lo < n; lo += chunk {
		k := min(chunk, n-lo)
		kernel.MatMul(false, true, k, m, E, 1, images[lo*E:], E, texts, E, 0, cosines, m)
		for i := range k {
			f(lo+i, cosines[i*m:][:m])
		}
	}
}
