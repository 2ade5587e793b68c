package vqvae

import (
	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
)

// Tokenizer turns batches of images into tokens and back. It keeps the programs
// for the last size of a batch and serves one caller at a time.
type Tokenizer struct {
	model          *Model
	encode, decode sized
}

// sized is a program for a number of images.
type sized struct {
	n    int
	prog *graph.Program
}

// Tokenizer returns a tokenizer around the model's parameters.
func (m *Model) Tokenizer() *Tokenizer { return &Tokenizer{model: m} }

// Encode returns the tokens of images (B, C, S, S) with pixels in PixelRange:
// Tokens numbers for each image, row by row.
func (t *Tokenizer) Encode(images *tensor.Dense) ([]int, error) {
	m := t.model
	s := images.Shape()
	if s.Dims() != 4 || s[0] < 1 || s[1] != m.Channels || s[2] != m.ImageSize || s[3] != m.ImageSize {
		return nil, errors.Errorf("vqvae: images have shape %v, want (B, %d, %d, %d) with B of 1 or more", s, m.Channels, m.ImageSize, m.ImageSize)
	}
	err := t.encode.compile(s[0], func(b *graph.Builder) {
		b.Output("ids", m.Quantize(b, b.Input("image", s...)).IDs)
	})
	if err != nil {
		return nil, err
	}
	if err := t.encode.prog.Run(graph.Values{"image": images}); err != nil {
		return nil, err
	}
	found := t.encode.prog.Output("ids").Float32s()
	ids := make([]int, len(found))
	for i, v := range found {
		ids[i] = int(v)
	}
	return ids, nil
}

// Decode draws images (B, C, S, S) from the tokens of B images. Pixels are
// limited to PixelRange. The tensor is the caller's own.
func (t *Tokenizer) Decode(ids []int) (*tensor.Dense, error) {
	m := t.model
	per := m.Tokens()
	if len(ids) == 0 || len(ids)%per != 0 {
		return nil, errors.Errorf("vqvae: %d tokens, want %d for each image", len(ids), per)
	}
	in := make([]float32, len(ids))
	for i, id := range ids {
		if id < 0 || id >= m.NumEmbeddings {
			return nil, errors.Errorf("vqvae: token %d of image %d is %d, want 0 to %d", i%per, i/per, id, m.NumEmbeddings-1)
		}
		in[i] = float32(id)
	}
	n := len(ids) / per
	err := t.decode.compile(n, func(b *graph.Builder) {
		b.Output("image", m.Draw(b, m.Quantizer.Lookup(b, b.Input("ids", len(ids)))))
	})
	if err != nil {
		return nil, err
	}
	if err := t.decode.prog.Run(graph.Values{"ids": tensor.New(tensor.WithShape(len(ids)), tensor.WithBacking(in))}); err != nil {
		return nil, err
	}
	drawn := t.decode.prog.Output("image").Float32s()
	out := make([]float32, len(drawn))
	lo, hi := float32(m.PixelRange[0]), float32(m.PixelRange[1])
	for i, v := range drawn {
		out[i] = max(lo, min(hi, v))
	}
	return tensor.New(tensor.WithShape(n, m.Channels, m.ImageSize, m.ImageSize), tensor.WithBacking(out)), nil
}

// Close frees the programs.
func (t *Tokenizer) Close() error {
	for _, s := range []*sized{&t.encode, &t.decode} {
		if s.prog == nil {
			continue
		}
		if err := s.prog.Close(); err != nil {
			return err
		}
		*s = sized{}
	}
	return nil
}

// compile makes the program for n images unless it is there.
func (s *sized) compile(n int, build func(b *graph.Builder)) error {
	if s.prog != nil && s.n == n {
		return nil
	}
	prog, err := graph.Compile(build, nil)
	if err != nil {
		return errors.Wrap(err, "vqvae")
	}
	if s.prog != nil {
		if err := s.prog.Close(); err != nil {
			prog.Close()
			return err
		}
	}
	*s = sized{n, prog}
	return nil
}
