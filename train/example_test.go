package train_test

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

// A trainer ties a model to data, an optimizer and a schedule; hooks observe
// its steps.
func Example() {
	shapes := data.Shapes{N: 64, Size: 32, Seed: 1}
	c, err := vit.Preset("small32")
	if err != nil {
		log.Fatal(err)
	}
	c.Layers = 1
	c.SetLabels(shapes.Classes())
	m, err := vit.New(c, graph.Seed(1))
	if err != nil {
		log.Fatal(err)
	}
	loader := &data.Loader{
		Dataset:   shapes,
		Inputs:    []data.Input{data.Images(data.ViTPreprocess(32), nil), data.Labels(c.Classes(), 0)},
		BatchSize: 16, Seed: 1, Shuffle: true,
	}
	var first, last float64
	t := &train.Trainer{
		Model: m, BatchSize: 16, Data: loader.Train, Steps: 30, ClipNorm: 1,
		Optimizer: &optim.AdamW{WeightDecay: 0.05},
		Schedule:  train.Constant(2e-3, 3),
		Hooks: []train.Hook{func(s *train.Step) error {
			if s.N == 1 {
				first = s.Loss
			}
			last = s.Loss
			return nil
		}},
	}
	if err := t.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the loss fell:", last < first)
	// Output:
	// the loss fell: true
}
