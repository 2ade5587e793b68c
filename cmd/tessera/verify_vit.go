package main

import (
	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/vit"
)

// vitSubject reads pixel_values (n, C, S, S) and labels (n); the file may store
// logits, loss and grad.<parameter>.
func vitSubject(dir string, golden *safetensors.File) (*subject, error) {
	m, err := vit.Load(dir, vit.LoadOptions{})
	if err != nil {
		return nil, err
	}
	pixels, ok := golden.Info("pixel_values")
	if !ok || len(pixels.Shape) != 4 {
		return nil, errors.Errorf("golden file: no pixel_values of shape (n, %d, %d, %d)", m.Channels, m.ImageSize, m.ImageSize)
	}
	values, err := golden.Float32("pixel_values")
	if err != nil {
		return nil, err
	}
	ids, err := golden.Int64("labels")
	if err != nil {
		return nil, err
	}
	n := pixels.Shape[0]
	if len(ids) != n {
		return nil, errors.Errorf("golden file: %d labels for %d images", len(ids), n)
	}
	target := make([]float32, n*m.Classes())
	for i, id := range ids {
		if id < 0 || id >= int64(m.Classes()) {
			return nil, errors.Errorf("golden file: label %d of image %d is none of %d classes", id, i, m.Classes())
		}
		target[i*m.Classes()+int(id)] = 1
	}
	return &subject{
		params: m.Params(),
		inputs: []string{"pixel_values", "labels"},
		batch: graph.Values{
			"pixel_values": tensor.New(tensor.WithShape(pixels.Shape...), tensor.WithBacking(values)),
			"labels":       tensor.New(tensor.WithShape(n, m.Classes()), tensor.WithBacking(target)),
		},
		build: func(b *graph.Builder) *graph.Node {
			logits := m.Logits(b, b.Input("pixel_values", pixels.Shape...))
			b.Output("logits", logits)
			loss := b.CrossEntropy(logits, b.Input("labels", n, m.Classes()))
			b.Output("loss", loss)
			return loss
		},
	}, nil
}
