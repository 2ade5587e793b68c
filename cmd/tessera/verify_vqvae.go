package main

import (
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/vqvae"
)

// vqvaeSubject reads pixel_values (n, C, S, S). The file may store, of a step of
// training, reconstruction, indices, recon_loss, vq_loss, loss,
// grad.<parameter> and after.<running statistic>, and of evaluation with the
// statistics after it, eval.reconstruction and eval.indices.
func vqvaeSubject(dir string, golden *safetensors.File) (*subject, error) {
	m, err := vqvae.Load(dir)
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
	batch := graph.Values{"pixel_values": tensor.New(tensor.WithShape(pixels.Shape...), tensor.WithBacking(values))}
	results := func(b *graph.Builder, prefix string) vqvae.Losses {
		drawn, q, losses := m.Reconstruct(b, b.Input("pixel_values", pixels.Shape...))
		b.Output(prefix+"reconstruction", drawn)
		b.Output(prefix+"indices", q.IDs)
		return losses
	}

	return &subject{
		params:  m.Params(),
		inputs:  []string{"pixel_values"},
		batch:   batch,
		options: &graph.Options{Training: true},
		build: func(b *graph.Builder) *graph.Node {
			losses := results(b, "")
			b.Output("recon_loss", losses.Reconstruction)
			if losses.Codebook != nil {
				b.Output("vq_loss", losses.Codebook)
			}
			total := losses.Total(b)
			b.Output("loss", total)
			return total
		},
		further: func(got map[string][]float32) error {
			eval, err := graph.Compile(func(b *graph.Builder) { results(b, "eval.") }, nil)
			if err != nil {
				return err
			}
			defer eval.Close()
			if err := eval.Run(batch); err != nil {
				return err
			}
			for _, name := range eval.Outputs() {
				got[name] = slices.Clone(eval.Output(name).Float32s())
			}
			for p := range m.Params().All() {
				if p.Frozen {
					got["after."+p.Name] = p.Float32s()
				}
			}
			return nil
		},
	}, nil
}
