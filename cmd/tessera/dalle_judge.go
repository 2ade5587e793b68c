package main

import (
	"context"
	"image"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/dalle"
	"tessera/train/data"
)

// judge says what was drawn.
type judge struct {
	*painter
	name  string
	label []int  // the judge's, by class of the data
	held  []bool // out of training, by class of the data
	// see gives the labels of images, −1 for none.
	see func(images []image.Image) ([]int, error)
}

// judged is what the judge says.
type judged struct {
	Judge         string `json:"judge"`
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

// judgeBatch is how many images are drawn and judged at once.
const judgeBatch = 50

// judgeAll draws n images from the captions, class by class, and judges them and
// all the true ones.
func (e *dalleEval) judgeAll(ctx context.Context, j *judge, images []captioned) (*judged, error) {
	s := &judged{Judge: j.name}
	for part := range slices.Chunk(images, judgeBatch) {
		right, err := j.right(ctx, part, idsOf(part))
		if err != nil {
			return nil, err
		}
		for _, r := range right {
			s.Reconstructed.add(r)
		}
	}
	bar := counting(e.stderr, "images for the judge", e.n, e.clock)
	done := 0
	for part := range slices.Chunk(inTurn(images, e.n), judgeBatch) {
		var texts [][]int
		for _, pair := range j.pairs(part) {
			texts = append(texts, pair.Text)
		}
		// Every batch has draws of its own.
		o := dalle.GenerateOptions{Sampler: e.sampler, Guidance: e.guidance, Seed: e.drawing.seed<<32 + uint64(done)}
		drawn, err := j.Generate(ctx, texts, o)
		if err != nil {
			return nil, err
		}
		right, err := j.right(ctx, part, drawn)
		if err != nil {
			return nil, err
		}
		for i, r := range right {
			if !j.held[part[i].label] {
				s.Drawn.add(r)
				continue
			}
			if s.Held == nil {
				s.Held = &count{}
			}
			s.Held.add(r)
		}
		done += len(part)
		if err := bar(done); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func idsOf(images []captioned) [][]int {
	ids := make([][]int, len(images))
	for i, c := range images {
		ids[i] = c.ids
	}
	return ids
}

// right tells which images, drawn from tokens, show the class they should.
func (j *judge) right(ctx context.Context, want []captioned, tokens [][]int) ([]bool, error) {
	images, err := j.draw(ctx, tokens)
	if err != nil {
		return nil, err
	}
	labels, err := j.see(images)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(want))
	for i, c := range want {
		out[i] = labels[i] == j.label[c.label]
	}
	return out, nil
}

// shapesSeen returns what sees colors and shapes in images like those of
// data.Shapes, by measuring them. Labels are pairs in the order of its classes.
func shapesSeen() func(images []image.Image) ([]int, error) {
	r, classes := data.NewShapeReader(), data.Shapes{}.Classes()
	return func(images []image.Image) ([]int, error) {
		labels := make([]int, len(images))
		for i, im := range images {
			labels[i] = -1
			if pair, ok := r.Read(data.FromStd(im)); ok {
				labels[i] = slices.Index(classes, pair.String())
			}
		}
		return labels, nil
	}
}

// see classifies images.
func (c *classifier) see(images []image.Image) ([]int, error) {
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
	f := &forward{model: c.Model}
	defer f.close()
	logits, err := f.logits(x)
	if err != nil {
		return nil, err
	}
	K := len(logits) / len(images)
	labels := make([]int, len(images))
	for i := range labels {
		labels[i] = argmax(logits[i*K : (i+1)*K])
	}
	return labels, nil
}
