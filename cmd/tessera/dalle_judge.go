package main

import (
	"context"
	"image"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/dalle"
	"tessera/train/data"
)

// judge is a classifier that says what was drawn.
type judge struct {
	*classifier
	*painter
	label []int  // the classifier's, by class of the data
	held  []bool // out of training, by class of the data
}

// judged is what the judge says.
type judged struct {
	Drawn         count  `json:"drawn"`          // of classes in training
	Held          *count `json:"held,omitempty"` // of those held out
	Reconstructed count  `json:"reconstructed"`  // true images
}

// count is how many images are given the right class.
type count struct {
	Images int     `json:"images"`
	Right  int     `json:"right"`
	Share  float64 `json:"share"`
}

func (c *count) add(right bool) {
	c.Images++
	if right {
		c.Right++
	}
	c.Share = float64(c.Right) / float64(c.Images)
}

// inTurn takes n images class by class: the first of each, the second of each,
// and so on, from the start where a class has too few.
func inTurn(images []captioned, n int) []captioned {
	classes := 0
	for _, c := range images {
		classes = max(classes, c.label+1)
	}
	of := make([][]captioned, classes)
	for _, c := range images {
		of[c.label] = append(of[c.label], c)
	}
	var out []captioned
	for turn := 0; len(out) < n; turn++ {
		for _, same := range of {
			if len(same) > 0 && len(out) < n {
				out = append(out, same[turn%len(same)])
			}
		}
	}
	return out
}

// judgeAll draws images from the captions and judges them and the true ones.
func (e *dalleEval) judgeAll(ctx context.Context, j *judge, images []captioned) (*judged, error) {
	const batch = 50
	var s judged
	bar := counting(e.stderr, "images for the judge", len(images), e.clock)
	for lo := 0; lo < len(images); lo += batch {
		part := images[lo:min(lo+batch, len(images))]
		var texts, tokens [][]int
		for _, pair := range j.pairs(part) {
			texts, tokens = append(texts, pair.Text), append(tokens, pair.Image)
		}
		// Every batch has draws of its own.
		o := dalle.GenerateOptions{Sampler: e.sampler, Guidance: e.guidance, Seed: e.drawing.seed<<32 + uint64(lo)}
		drawn, err := j.Generate(ctx, texts, o)
		if err != nil {
			return nil, err
		}
		given, err := j.classes(ctx, drawn)
		if err != nil {
			return nil, err
		}
		before, err := j.classes(ctx, tokens)
		if err != nil {
			return nil, err
		}
		for i, c := range part {
			want := j.label[c.label]
			s.Reconstructed.add(before[i] == want)
			if !j.held[c.label] {
				s.Drawn.add(given[i] == want)
				continue
			}
			if s.Held == nil {
				s.Held = &count{}
			}
			s.Held.add(given[i] == want)
		}
		if err := bar(lo + len(part)); err != nil {
			return nil, err
		}
	}
	return &s, nil
}

// classes are what the judge gives to the images of tokens.
func (j *judge) classes(ctx context.Context, tokens [][]int) ([]int, error) {
	images, err := j.draw(ctx, tokens)
	if err != nil {
		return nil, err
	}
	x, err := j.see(images)
	if err != nil {
		return nil, err
	}
	f := &forward{model: j.classifier.Model}
	defer f.close()
	logits, err := f.logits(x)
	if err != nil {
		return nil, err
	}
	K := len(logits) / len(images)
	out := make([]int, len(images))
	for i := range out {
		out[i] = argmax(logits[i*K : (i+1)*K])
	}
	return out, nil
}

// see turns images into the classifier's input.
func (j *judge) see(images []image.Image) (*tensor.Dense, error) {
	c := j.classifier
	size := c.Channels * c.ImageSize * c.ImageSize
	x := tensor.New(tensor.WithShape(len(images), c.Channels, c.ImageSize, c.ImageSize), tensor.Of(tensor.Float32))
	for i, im := range images {
		seen, err := c.input.Apply(data.FromStd(im))
		if err != nil {
			return nil, errors.Wrap(err, "judge")
		}
		if err := c.input.Normalize(x.Float32s()[i*size:(i+1)*size], seen); err != nil {
			return nil, errors.Wrap(err, "judge")
		}
	}
	return x, nil
}
