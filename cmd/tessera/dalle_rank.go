package main

import (
	"cmp"
	"fmt"
	"image"
	"io"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/train/data"
)

// ranked is an image and how like its text it is.
type ranked struct {
	image.Image
	similarity float32 // cosine, of CLIP's embeddings
}

// rank orders images by their similarity to a text, the most similar first
// (arXiv:2102.12092, section 2.6).
func (e *embedder) rank(text string, images []image.Image) ([]ranked, error) {
	wanted, err := e.embedTexts([]string{text})
	if err != nil {
		return nil, err
	}
	v, E := e.Config.Vision, e.ProjectionDim
	size := v.Channels * v.ImageSize * v.ImageSize
	var order []ranked
	for part := range slices.Chunk(images, predictBatch) {
		x := tensor.New(tensor.WithShape(len(part), v.Channels, v.ImageSize, v.ImageSize), tensor.Of(tensor.Float32))
		for i, im := range part {
			seen, err := e.input.Apply(data.FromStd(im))
			if err == nil {
				err = e.input.Normalize(x.Float32s()[i*size:(i+1)*size], seen)
			}
			if err != nil {
				return nil, errors.Wrapf(err, "image %d", len(order)+i)
			}
		}
		rows, err := e.Images(x)
		if err != nil {
			return nil, err
		}
		for i, im := range part {
			dot := float32(0)
			for k, a := range rows[i*E : (i+1)*E] {
				dot += a * wanted[k]
			}
			order = append(order, ranked{im, dot})
		}
	}
	slices.SortStableFunc(order, func(a, b ranked) int { return cmp.Compare(b.similarity, a.similarity) })
	return order, nil
}

// keepBest leaves the best images of each text and writes how they compare.
func (g *generating) keepBest(w io.Writer, e *embedder, images []image.Image) ([]image.Image, error) {
	var kept []image.Image
	for i, text := range g.texts {
		order, err := e.rank(text, images[i*g.n:(i+1)*g.n])
		if err != nil {
			return nil, errors.Wrapf(err, "--rank %s", g.rank)
		}
		mean := float32(0)
		for _, r := range order {
			mean += r.similarity / float32(len(order))
		}
		best := order[:g.kept()]
		for _, r := range best {
			kept = append(kept, r.Image)
		}
		if _, err := fmt.Fprintf(w, "%q: similarity %.3f to %.3f of the best %d, %.3f on average of %d\n",
			text, best[0].similarity, best[len(best)-1].similarity, len(best), mean, len(order)); err != nil {
			return nil, errors.WithStack(err)
		}
	}
	return kept, nil
}

// kept is how many images of each text are saved.
func (g *generating) kept() int {
	if g.best == 0 {
		return g.n
	}
	return g.best
}
