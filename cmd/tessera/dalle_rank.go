package main

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"io"
	"slices"

	"github.com/pkg/errors"
)

// ranked is an image and how like its text it is.
type ranked struct {
	image.Image
	similarity float32 // cosine, of CLIP's embeddings
}

// rank orders images by their similarity to a text, the most similar first
// (arXiv:2102.12092, section 2.6).
func (e *embedder) rank(ctx context.Context, text string, images []image.Image) ([]ranked, error) {
	wanted, err := e.embedTexts(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	rows, err := e.embed.Images(ctx, images)
	if err != nil {
		return nil, err
	}
	var order []ranked
	for i, im := range images {
		order = append(order, ranked{im, float32(cosine(rows[i], wanted))})
	}
	slices.SortStableFunc(order, func(a, b ranked) int { return cmp.Compare(b.similarity, a.similarity) })
	return order, nil
}

// keepBest leaves the best images of each text and writes how they compare.
func (g *generating) keepBest(ctx context.Context, w io.Writer, e *embedder, images []image.Image) ([]image.Image, error) {
	var kept []image.Image
	for i, text := range g.texts {
		order, err := e.rank(ctx, text, images[i*g.n:(i+1)*g.n])
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
