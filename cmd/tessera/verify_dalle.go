package main

import (
	"context"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/dalle"
	"tessera/graph"
	"tessera/graph/op"
	"tessera/graph/safetensors"
)

// dalleSubject reads text_tokens (n, T) and image_tokens (n, N). The file may
// store logits (n, N, V), whose row k scores image token k, loss,
// grad.<parameter> and greedy_tokens (n, N), the most probable image by steps.
func dalleSubject(dir string, golden *safetensors.File) (*subject, error) {
	m, err := dalle.Load(dir)
	if err != nil {
		return nil, err
	}
	texts, err := goldenIDs(golden, "text_tokens", m.TextTokens)
	if err != nil {
		return nil, err
	}
	images, err := goldenIDs(golden, "image_tokens", m.ImageTokens)
	if err != nil {
		return nil, err
	}
	if texts.Shape()[0] != images.Shape()[0] {
		return nil, errors.Errorf("golden file: %d texts for %d images", texts.Shape()[0], images.Shape()[0])
	}
	return &subject{
		params: m.Params(),
		inputs: []string{"text_tokens", "image_tokens"},
		batch:  graph.Values{"text_tokens": texts, "image_tokens": images},
		build: func(b *graph.Builder) *graph.Node {
			text, image := b.Input("text_tokens", texts.Shape()...), b.Input("image_tokens", images.Shape()...)
			logits := m.Logits(b, text, image)
			b.Output("logits", logits)
			loss := b.Must(op.CrossEntropyIDs(logits, image, nil))
			b.Output("loss", loss)
			return loss
		},
		further: func(got map[string][]float32) error {
			for _, g := range dalle.Stored(m.Params(), func(p *graph.Param) []float32 { return got["grad."+p.Name] }) {
				got["grad."+g.Name] = g.Data.([]float32)
			}
			return drawGreedily(m, texts, got)
		},
	}, nil
}

// drawGreedily adds the most probable images of texts, token by token.
func drawGreedily(m *dalle.Model, texts *tensor.Dense, got map[string][]float32) error {
	ids := make([][]int, texts.Shape()[0])
	for i, v := range texts.Float32s() {
		if int(v) != m.Padding {
			ids[i/m.TextTokens] = append(ids[i/m.TextTokens], int(v))
		}
	}
	drawn, err := m.Generate(context.Background(), ids, dalle.GenerateOptions{})
	if err != nil {
		return err
	}
	for _, id := range slices.Concat(drawn...) {
		got["greedy_tokens"] = append(got["greedy_tokens"], float32(id))
	}
	return nil
}

// goldenIDs reads token ids (n, length).
func goldenIDs(golden *safetensors.File, name string, length int) (*tensor.Dense, error) {
	info, ok := golden.Info(name)
	if !ok || len(info.Shape) != 2 || info.Shape[0] < 1 || info.Shape[1] != length {
		return nil, errors.Errorf("golden file: no %s of shape (n, %d)", name, length)
	}
	stored, err := golden.Int64(name)
	if err != nil {
		return nil, err
	}
	ids := make([]float32, len(stored))
	for i, id := range stored {
		ids[i] = float32(id)
	}
	return tensor.New(tensor.WithShape(info.Shape...), tensor.WithBacking(ids)), nil
}
