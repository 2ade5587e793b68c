package main

import (
	"cmp"
	"context"
	"image"
	"slices"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/flamingo"
	"tessera/train/data"
)

// similar makes a prompt of the examples that are most like the last image, the
// most similar one last (RICES, arXiv:2109.05014).
func (g *describing) similar(cmd *cobra.Command, d *describer) (flamingo.Sequence, error) {
	var none flamingo.Sequence
	log := logger(cmd)
	e, err := loadEmbedder(g.clip, "", log)
	if err != nil {
		return none, err
	}
	p, err := openFlamingoData(g.examples, d.tower.side, 0, -1, g.seed)
	if err != nil {
		return none, err
	}
	ds := some(p.train, g.among)
	query, err := e.embedExample(cmd.Context(), files(g.images[len(g.images)-1:]), 0)
	if err != nil {
		return none, err
	}
	type scored struct {
		index int
		like  float32
	}
	var all []scored
	bar := counting(cmd.ErrOrStderr(), "examples", ds.Len(), time.Now)
	for i := range ds.Len() {
		if err := cmd.Context().Err(); err != nil {
			return none, errors.WithStack(err)
		}
		if err := bar(i); err != nil {
			return none, err
		}
		row, err := e.embedExample(cmd.Context(), ds, i)
		if err != nil {
			log.Warn("skipped", "error", err.Error())
			continue
		}
		like := float32(0)
		for k, v := range row {
			like += v * query[k]
		}
		all = append(all, scored{i, like})
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(b.like, a.like) })
	all = all[:min(len(all), g.rices)]
	slices.Reverse(all)
	var chunks []chunk
	for _, s := range all {
		ex, err := ds.Example(s.index)
		if err != nil {
			return none, err
		}
		images, err := d.tower.look(cmd.Context(), single{ds, s.index}, log, func(int) error { return nil })
		if err != nil {
			return none, err
		}
		a := asksOf(ds, s.index, ex, g.template)[0]
		chunks = append(chunks, chunk{image: images[0].Image, prompt: a.prompt, answer: a.answer})
	}
	s := d.sequence(chunks...)
	s.Learn = nil // nothing is learned
	return s, nil
}

// embedExample gives the row of an example's image.
func (e *embedder) embedExample(ctx context.Context, ds data.Dataset, i int) ([]float32, error) {
	ex, err := ds.Example(i)
	if err != nil {
		return nil, errors.Wrap(err, ex.Name)
	}
	rows, err := e.embed.Images(ctx, []image.Image{ex.Image.Std()})
	if err != nil {
		return nil, errors.Wrap(err, ex.Name)
	}
	return rows[0], nil
}

// single is one example of a data set.
type single struct {
	data.Dataset
	index int
}

func (s single) Len() int                          { return 1 }
func (s single) Example(int) (data.Example, error) { return s.Dataset.Example(s.index) }
