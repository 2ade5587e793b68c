package main

import (
	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/graph/safetensors"
)

// gpt2Subject reads input_ids (B, N); the file may store logits (B, N, V).
func gpt2Subject(dir string, golden *safetensors.File) (*subject, error) {
	m, err := gpt2.Load(dir, gpt2.LoadOptions{})
	if err != nil {
		return nil, err
	}
	info, ok := golden.Info("input_ids")
	if !ok || len(info.Shape) != 2 {
		return nil, errors.New("golden file: no input_ids of shape (B, N)")
	}
	stored, err := golden.Int64("input_ids")
	if err != nil {
		return nil, err
	}
	ids := make([]float32, len(stored))
	for i, id := range stored {
		if id < 0 || id >= int64(m.VocabSize) {
			return nil, errors.Errorf("golden file: id %d is none of %d tokens", id, m.VocabSize)
		}
		ids[i] = float32(id)
	}
	return &subject{
		params: m.Params(),
		inputs: []string{"input_ids"},
		batch:  graph.Values{"input_ids": tensor.New(tensor.WithShape(info.Shape...), tensor.WithBacking(ids))},
		build: func(b *graph.Builder) *graph.Node {
			logits := m.Logits(b, b.Input("input_ids", info.Shape...))
			b.Output("logits", logits)
			return b.Mean(b.Square(logits)) // no loss is stored
		},
	}, nil
}
