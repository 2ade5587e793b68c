package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// measured is what a model makes of a data set.
type measured struct {
	Images int `json:"images"`
	// Of images with classes.
	Classes int          `json:"classes,omitempty"`
	Correct int          `json:"correct,omitempty"` // images whose class is found among all
	Top5    int          `json:"top_5,omitempty"`   // and those where it is among the first five
	ByClass []classScore `json:"by_class,omitempty"`
	// Of images with captions: ranks of the caption among all different ones,
	// and of the image of a caption among all images.
	Texts   int     `json:"texts,omitempty"`
	ToText  *recall `json:"image_to_text,omitempty"`
	ToImage *recall `json:"text_to_image,omitempty"`
}

// accuracy is the share of images classified right.
func (s *measured) accuracy() float64 { return float64(s.Correct) / float64(max(s.Images, 1)) }

// measure embeds a data set, classifies it by the prompts of its classes and
// ranks its captions, as far as it has them. progress is told how many images
// are done.
func (e *embedder) measure(ctx context.Context, ds data.Dataset, c captions, batch, workers int, progress func(done int) error) (*measured, error) {
	var classify func(image []float32) []float64
	l := &data.Loader{Dataset: ds, BatchSize: batch, Workers: workers,
		Inputs: []data.Input{data.Images(e.embed.Input, nil)},
		OnSkip: func(name string, err error) { e.log.Warn("skipped", "image", name, "error", err.Error()) }}
	K := len(c.classes)
	if K > 0 {
		var err error
		if classify, err = e.classifier(ctx, c); err != nil {
			return nil, err
		}
		l.Inputs = append(l.Inputs, data.Labels(K, 0))
	}
	s := &measured{Classes: K}
	given := make([]map[int]int, K) // by true class: how often each was given
	var images []float32
	t := texts{known: map[string]int{}}
	for m, err := range l.Epoch() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Wrapf(err, "stopped after %d images", s.Images)
		}
		rows, err := e.embed.Prepared(ctx, m.Batch["image"])
		if err != nil {
			return nil, err
		}
		if c.own != nil {
			images = append(images, rows...)
			for _, i := range m.Index {
				t.add(c.own.Captions(i))
			}
		}
		for i := range m.Index {
			s.Images++
			if K == 0 {
				continue
			}
			label := argmax(m.Batch["label"].Float32s()[i*K:][:K])
			top := rankNames(c.classes, classify(rows[i*e.ProjectionDim:][:e.ProjectionDim]), 5)
			if given[label] == nil {
				given[label] = map[int]int{}
			}
			given[label][top[0].Index]++
			if top[0].Index == label {
				s.Correct++
			}
			if slices.ContainsFunc(top, func(c candidate) bool { return c.Index == label }) {
				s.Top5++
			}
		}
		if err := progress(s.Images); err != nil {
			return nil, err
		}
	}
	if s.Images == 0 {
		return nil, errors.New("there are no images to measure by")
	}
	var counts score
	counts.Images = s.Images
	counts.count(given, c.classes)
	s.ByClass = counts.Classes
	if c.own == nil {
		return s, nil
	}
	rows, err := e.embedTexts(ctx, t.all)
	if err != nil {
		return nil, err
	}
	toText, toImage := ranks(images, rows, t.own, e.ProjectionDim)
	s.Texts, s.ToText, s.ToImage = len(t.all), &toText, &toImage
	return s, nil
}

// texts are the different captions of images.
type texts struct {
	all   []string
	known map[string]int // place in all
	own   [][]int        // by image
}

// add takes in the captions of the next image.
func (t *texts) add(captions []string) {
	var own []int
	for _, text := range captions {
		i, ok := t.known[text]
		if !ok {
			i = len(t.all)
			t.known[text] = i
			t.all = append(t.all, text)
		}
		own = append(own, i)
	}
	t.own = append(t.own, own)
}

// classifier gives the probabilities of the classes for an image. Where captions
// tell more than the class, a class is as probable as all its captions together;
// elsewhere the mean of its prompts stands for it.
func (e *embedder) classifier(ctx context.Context, c captions) (func(image []float32) []float64, error) {
	if c.own == nil {
		rows, err := e.embed.ZeroShot(c.classes, c.templates)
		return func(image []float32) []float64 { return e.Probabilities(image, rows) }, err
	}
	var prompts []string
	for text := range c.all {
		prompts = append(prompts, text)
	}
	rows, err := e.embedTexts(ctx, prompts)
	return func(image []float32) []float64 {
		p := make([]float64, len(c.classes))
		for i, v := range e.Probabilities(image, rows) {
			p[i/len(c.templates)] += v
		}
		return p
	}, err
}

// print writes lines of a table, of which name tells what is measured.
func (s *measured) print(w io.Writer, name string) {
	if s.Classes > 0 {
		fmt.Fprintf(w, "%s zero-shot accuracy\t%.2f %% (%s of %s images, %d classes)\n",
			name, 100*s.accuracy(), thousands(s.Correct), thousands(s.Images), s.Classes)
	}
	if s.ToText != nil {
		fmt.Fprintf(w, "%s image to text\t%s, among %s captions\n", name, s.ToText, thousands(s.Texts))
		fmt.Fprintf(w, "%s text to image\t%s, among %s images\n", name, s.ToImage, thousands(s.Images))
	}
}
