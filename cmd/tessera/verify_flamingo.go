package main

import (
	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/flamingo"
	"tessera/graph"
	"tessera/graph/op"
	"tessera/graph/safetensors"
)

// flamingoSubject reads vision_x (B, T, F, N, E) and input_ids (B, L). The file
// may store latents (B, T, n, E), logits (B, L, V), loss, of all tokens but the
// first, and grad.<parameter>.
func flamingoSubject(dir string, golden *safetensors.File) (*subject, error) {
	m, err := flamingo.Load(dir, flamingo.LoadOptions{})
	if err != nil {
		return nil, err
	}
	patches, ok := golden.Info("vision_x")
	if !ok || len(patches.Shape) != 5 || patches.Shape[4] != m.Vision || tensor.Shape(patches.Shape).TotalSize() == 0 {
		return nil, errors.Errorf("golden file: no vision_x of shape (B, T, F, N, %d)", m.Vision)
	}
	values, err := golden.Float32("vision_x")
	if err != nil {
		return nil, err
	}
	B, T, F := patches.Shape[0], patches.Shape[1], patches.Shape[2]
	info, ok := golden.Info("input_ids")
	if !ok || len(info.Shape) != 2 || info.Shape[0] != B || info.Shape[1] < 2 {
		return nil, errors.Errorf("golden file: no input_ids of shape (%d, L)", B)
	}
	L := info.Shape[1]
	stored, err := golden.Int64("input_ids")
	if err != nil {
		return nil, err
	}
	batch := flamingoSequences(m.Config, stored, L, values, B, T, F)
	shape := m.Config.Shape(batch)
	shape.Images = T
	in, err := m.Batch(batch, shape)
	if err != nil {
		return nil, errors.WithMessage(err, "golden file")
	}
	delete(in, "target") // stored losses count media tokens
	in["patches"] = tensor.New(tensor.WithShape(patches.Shape...), tensor.WithBacking(values))
	return &subject{
		params: m.Params(),
		inputs: []string{"vision_x", "input_ids"},
		batch:  in,
		build: func(b *graph.Builder) *graph.Node {
			ids := b.Input("ids", B, L)
			latents := m.Latents(b, b.Input("patches", patches.Shape...), nil)
			logits := m.Logits(b, ids, b.Input("time", B, L), latents)
			loss := b.Must(op.CrossEntropyIDs(b.Slice(logits, 1, 0, L-1), b.Slice(ids, 1, 1, L), nil))
			b.Output("latents", latents)
			b.Output("logits", logits)
			b.Output("loss", loss)
			return loss
		},
	}, nil
}

// flamingoSequences gives each text as many of its T images as it has media
// tokens: stored texts may speak of fewer.
func flamingoSequences(c flamingo.Config, ids []int64, L int, values []float32, B, T, F int) []flamingo.Sequence {
	size := len(values) / (B * T)
	out := make([]flamingo.Sequence, B)
	for i := range out {
		for _, id := range ids[i*L : (i+1)*L] {
			out[i].IDs = append(out[i].IDs, int(id))
			if n := len(out[i].Images); int(id) == c.Media && n < T {
				at := (i*T + n) * size
				out[i].Images = append(out[i].Images, flamingo.Image{Frames: F, Patches: values[at : at+size]})
			}
		}
	}
	return out
}
