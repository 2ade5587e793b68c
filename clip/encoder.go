package clip

import (
	"cmp"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
)

// Encoder embeds any number of images and texts. It keeps one graph of each
// tower, made for the last size. It is not for several goroutines at once.
type Encoder struct {
	*Model
	images, texts sized
}

// sized is a program for inputs of one size.
type sized struct {
	prog *graph.Program
	n, L int
}

// fit compiles build for n inputs of L tokens, unless it was so already.
func (s *sized) fit(n, L int, build func(b *graph.Builder)) error {
	if s.prog != nil && s.n == n && s.L == L {
		return nil
	}
	if err := s.close(); err != nil {
		return err
	}
	prog, err := graph.Compile(build, &graph.Options{Fixed: true})
	if err != nil {
		return err
	}
	s.prog, s.n, s.L = prog, n, L
	return nil
}

func (s *sized) close() error {
	if s.prog == nil {
		return nil
	}
	prog := s.prog
	s.prog = nil
	return prog.Close()
}

// NewEncoder returns an encoder of the model, whose weights must stay as they
// are.
func NewEncoder(m *Model) *Encoder { return &Encoder{Model: m} }

// Close frees the graphs.
func (e *Encoder) Close() error {
	first, second := e.images.close(), e.texts.close()
	if first != nil {
		return first
	}
	return second
}

// Images embeds prepared images (n, C, S, S). The result is n rows of E, of
// unit length.
func (e *Encoder) Images(images *tensor.Dense) ([]float32, error) {
	v := e.Config.Vision
	if s := images.Shape(); len(s) != 4 || s[0] == 0 {
		return nil, errors.Errorf("clip: images have shape %v, want (n, %d, %d, %d)", s, v.Channels, v.ImageSize, v.ImageSize)
	}
	n := images.Shape()[0]
	err := e.images.fit(n, 0, func(b *graph.Builder) {
		b.Output("image", e.EncodeImage(b, b.Input("image", n, v.Channels, v.ImageSize, v.ImageSize)))
	})
	if err != nil {
		return nil, err
	}
	if err := e.images.prog.Run(graph.Values{"image": images}); err != nil {
		return nil, err
	}
	return slices.Clone(e.images.prog.Output("image").Float32s()), nil
}

const (
	textBatch = 32 // texts that are embedded at once
	textStep  = 4  // lengths are rounded up to its multiples, for fewer graphs
)

// Texts embeds texts given by their ids, start and end tokens included. Texts of
// about the same length go together, so that a short one does not wait for the
// padding of a long one. The result is a row of E, of unit length, for each.
func (e *Encoder) Texts(texts [][]int) ([]float32, error) {
	c, E := e.Config.Text, e.ProjectionDim
	length := make([]int, len(texts)) // up to the end token, rounded up
	order := make([]int, len(texts))
	for i, t := range texts {
		if len(t) == 0 {
			return nil, errors.Errorf("clip: text %d has no tokens, want a start and an end token", i)
		}
		length[i] = min(c.Context, (c.End(t)/textStep+1)*textStep)
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(length[a], length[b]) })
	out := make([]float32, len(texts)*E)
	for len(order) > 0 {
		n, L := 0, length[order[0]]
		for n < len(order) && n < textBatch && length[order[n]] == L {
			n++
		}
		batch := make([][]int, n)
		for k, i := range order[:n] {
			batch[k] = texts[i]
		}
		rows, err := e.sameLength(batch, L)
		if err != nil {
			return nil, err
		}
		for k, i := range order[:n] {
			copy(out[i*E:(i+1)*E], rows[k*E:])
		}
		order = order[n:]
	}
	return out, nil
}

func (e *Encoder) sameLength(texts [][]int, L int) ([]float32, error) {
	n := len(texts)
	ids, ends, err := e.Config.Text.Texts(texts, L)
	if err != nil {
		return nil, err
	}
	err = e.texts.fit(n, L, func(b *graph.Builder) {
		b.Output("text", e.EncodeText(b, b.Input("ids", n, L), b.Input("ends", n)))
	})
	if err != nil {
		return nil, err
	}
	if err := e.texts.prog.Run(graph.Values{"ids": ids, "ends": ends}); err != nil {
		return nil, err
	}
	return e.texts.prog.Output("text").Float32s(), nil
}
