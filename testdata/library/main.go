// Command library trains a small Vision Transformer on the procedural shapes
// from a module of its own.
package main

import (
	"context"
	"fmt"
	"log"

	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
	"tessera/vit"
)

func main() {
	const batch, steps = 32, 60
	shapes := data.Shapes{N: 512, Size: 32, Seed: 1}
	c, err := vit.Preset("small32")
	check(err)
	c.SetLabels(shapes.Classes())
	m, err := vit.New(c, graph.Seed(1))
	check(err)
	inputs := []data.Input{data.Images(data.ViTPreprocess(32), nil), data.Labels(c.Classes(), 0)}
	loader := &data.Loader{Dataset: shapes, Inputs: inputs, BatchSize: batch, Seed: 1, Shuffle: true}
	var first, last float64 // sums of ten losses
	check((&train.Trainer{
		Model: m, BatchSize: batch, Data: loader.Train, Steps: steps, ClipNorm: 1,
		Optimizer: &optim.AdamW{WeightDecay: 0.05}, Schedule: train.WarmupCosine(1e-3, 6, steps),
		Hooks: []train.Hook{func(s *train.Step) error {
			if s.N <= 10 {
				first += s.Loss
			} else if s.N > steps-10 {
				last += s.Loss
			}
			return nil
		}},
	}).Run(context.Background()))
	fmt.Printf("loss %.2f after %d steps, %.2f at the start\n", last/10, steps, first/10)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
