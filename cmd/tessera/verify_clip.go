package main

import (
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/graph"
	"tessera/graph/safetensors"
)

// clipSubject reads pixel_values (n, C, S, S) and input_ids (n, L); the file may
// store image_embeds, text_embeds, logits_per_image, loss (InfoNCE) and
// grad.<parameter>.
func clipSubject(dir string, golden *safetensors.File) (*subject, error) {
	m, err := clip.Load(dir, clip.LoadOptions{})
	if err != nil {
		return nil, err
	}
	v := m.Config.Vision
	pixels, ok := golden.Info("pixel_values")
	if !ok || len(pixels.Shape) != 4 {
		return nil, errors.Errorf("golden file: no pixel_values of shape (n, %d, %d, %d)", v.Channels, v.ImageSize, v.ImageSize)
	}
	values, err := golden.Float32("pixel_values")
	if err != nil {
		return nil, err
	}
	n := pixels.Shape[0]
	stored, ok := golden.Info("input_ids")
	if !ok || len(stored.Shape) != 2 || stored.Shape[0] != n || stored.Shape[1] == 0 {
		return nil, errors.Errorf("golden file: no input_ids of shape (%d, L)", n)
	}
	flat, err := golden.Int64("input_ids")
	if err != nil {
		return nil, err
	}
	var texts [][]int
	for row := range slices.Chunk(flat, stored.Shape[1]) {
		text := make([]int, len(row))
		for i, id := range row {
			text[i] = int(id)
		}
		texts = append(texts, text)
	}
	ids, ends, err := m.Config.Text.Texts(texts, 0)
	if err != nil {
		return nil, errors.WithMessage(err, "golden file: input_ids")
	}
	return &subject{
		params: m.Params(),
		inputs: []string{"pixel_values", "input_ids"},
		batch: graph.Values{
			"pixel_values": tensor.New(tensor.WithShape(pixels.Shape...), tensor.WithBacking(values)),
			"input_ids":    ids,
			"ends":         ends,
		},
		build: func(b *graph.Builder) *graph.Node {
			images := m.EncodeImage(b, b.Input("pixel_values", pixels.Shape...))
			texts := m.EncodeText(b, b.Input("input_ids", ids.Shape()...), b.Input("ends", n))
			logits := m.Logits(b, images, texts)
			loss := clip.InfoNCE(b, logits, clip.Pairs(b, n))
			b.Output("image_embeds", images)
			b.Output("text_embeds", texts)
			b.Output("logits_per_image", logits)
			b.Output("loss", loss)
			return loss
		},
	}, nil
}
