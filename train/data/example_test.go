package data_test

import (
	"fmt"

	"tessera/train/data"
)

// Training batches of drawn shapes: a resumed run asks for its next step.
func Example() {
	shapes := data.Shapes{N: 1000, Size: 32, Seed: 1}
	train, val, err := data.Split(shapes, 0.1, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	classes := len(shapes.Classes())
	loader := &data.Loader{
		Dataset:   train,
		Inputs:    []data.Input{data.Images(data.ViTPreprocess(32), nil), data.Labels(classes, 0.1)},
		BatchSize: 64,
		Seed:      1,
		Shuffle:   true,
		Mix:       data.Mix{Prob: 0.5, Mixup: 0.2},
	}
	fmt.Println(train.Len(), "examples to train with,", val.Len(), "to validate,", loader.StepsPerEpoch(), "steps an epoch")
	for m, err := range loader.Train(20) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("step", m.Step, "of epoch", m.Epoch, m.Batch["image"].Shape(), m.Batch["label"].Shape())
		if m.Step == 21 {
			break
		}
	}
	first, err := shapes.Example(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(first.Caption)
	// Output:
	// 900 examples to train with, 100 to validate, 14 steps an epoch
	// step 20 of epoch 1 (64, 3, 32, 32) (64, 30)
	// step 21 of epoch 1 (64, 3, 32, 32) (64, 30)
	// a small blue circle at the bottom left
}
