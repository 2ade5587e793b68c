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
	shapes := data.Shapes{N: 512, Size: 32, Seed: 1}
	c, err := vit.Preset("small32")
	if err != nil {
		log.Fatal(err)
	}
	c.SetLabels(shapes.Classes())
	m, err := vit.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	loader := &data.Loader{
		Dataset:   shapes,
		Inputs:    []data.Input{data.Images(data.ViTPreprocess(32), nil), data.Labels(c.Classes(), 0)},
		BatchSize: 32, Seed: 1, Shuffle: true,
	}
	const steps = 60
	var losses []float64
	t := &train.Trainer{
		Model: m, BatchSize: 32, Data: loader.Train, Steps: steps, ClipNorm: 1,
		Optimizer: &optim.AdamW{WeightDecay: 0.05},
		Schedule:  train.WarmupCosine(1e-3, 2, steps),
		Hooks:     []train.Hook{func(s *train.Step) error { losses = append(losses, s.Loss); return nil }},
	}
	if err := t.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("loss %.2f after %d steps, %.2f at the start\n", mean(losses[steps-10:]), steps, mean(losses[:10]))
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
