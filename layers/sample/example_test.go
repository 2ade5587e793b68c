package sample_test

import (
	"fmt"
	"math/rand/v2"

	"tessera/layers/sample"
)

func ExampleSampler() {
	logits := []float32{2, 1, 0, -1}
	greedy := sample.Sampler{}
	fmt.Println(greedy.Next(logits, nil, nil))

	warm := sample.Sampler{Temperature: 1, TopK: 2}
	rng := rand.New(rand.NewPCG(1, 2))
	counts := make([]int, len(logits))
	for range 1000 {
		counts[warm.Next(logits, nil, rng)]++
	}
	fmt.Println(counts[0] > counts[1], counts[2], counts[3])
	// Output:
	// 0
	// true 0 0
}
