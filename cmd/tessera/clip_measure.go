package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"tessera/train/data"
)

// recall tells how far down the list the right answer is.
type recall struct {
	at     map[int]float64 // share of queries whose answer is among the first k
	median int             // rank of the answer, from 1
}

// recallOf sums up ranks from 1.
func recallOf(ranks []int) recall {
	r := recall{at: map[int]float64{}}
	slices.Sort(ranks)
	for _, k := range []int{1, 5, 10} {
		n, _ := slices.BinarySearch(ranks, k+1)
		r.at[k] = float64(n) / float64(len(ranks))
	}
	r.median = ranks[len(ranks)/2]
	return r
}

func (r recall) String() string {
	return fmt.Sprintf("%.1f %% at 1, %.1f %% at 5, %.1f %% at 10, median rank %d", 100*r.at[1], 100*r.at[5], 100*r.at[10], r.median)
}

// measured is what a model makes of a data set.
type measured struct {
	images   int
	zeroShot float64 // share of images whose class is found among all
	// Ranks of the caption among all different ones, and of the first image of a
	// caption among all images.
	toText, toImage recall
}

// measure embeds a data set, classifies it by the prompts of its classes and
// ranks its captions.
func (e *embedder) measure(ctx context.Context, ds data.Dataset, c captions, batch, workers int) (*measured, error) {
	classify, err := e.classifier(c)
	if err != nil {
		return nil, err
	}
	l := &data.Loader{Dataset: ds, BatchSize: batch, Workers: workers,
		Inputs: []data.Input{data.Images(e.input, nil), data.Labels(len(c.classes), 0)}}
	E, K := e.ProjectionDim, len(c.classes)
	var images []float32
	var texts []string        // different captions
	var captionOf []int       // by image
	known := map[string]int{} // caption to its place in texts
	right := 0
	for m, err := range l.Epoch() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		rows, err := e.Images(m.Batch["image"])
		if err != nil {
			return nil, err
		}
		images = append(images, rows...)
		for i := range m.Index {
			label := argmax(m.Batch["label"].Float32s()[i*K:][:K])
			if rankNames(c.classes, classify(rows[i*E:][:E]), 1)[0].Index == label {
				right++
			}
			text, _ := c.of(m, i)
			if _, ok := known[text]; !ok {
				known[text] = len(texts)
				texts = append(texts, text)
			}
			captionOf = append(captionOf, known[text])
		}
	}
	rows, err := e.embedTexts(texts)
	if err != nil {
		return nil, err
	}
	s := &measured{images: len(captionOf), zeroShot: float64(right) / float64(len(captionOf))}
	s.toText, s.toImage = ranks(images, rows, captionOf, E)
	return s, nil
}

// classifier gives the probabilities of the classes for an image. Where captions
// tell more than the class, a class is as probable as all its captions together;
// elsewhere the mean of its prompts stands for it.
func (e *embedder) classifier(c captions) (func(image []float32) []float64, error) {
	if c.shapes == nil {
		rows, err := e.ZeroShot(c.classes, c.templates, e.encode)
		return func(image []float32) []float64 { return e.Probabilities(image, rows) }, err
	}
	var prompts []string
	for text := range c.all {
		prompts = append(prompts, text)
	}
	rows, err := e.embedTexts(prompts)
	return func(image []float32) []float64 {
		p := make([]float64, len(c.classes))
		for i, v := range e.Probabilities(image, rows) {
			p[i/len(c.templates)] += v
		}
		return p
	}, err
}

// ranks ranks texts by images and images by texts.
func ranks(images, texts []float32, captionOf []int, E int) (toText, toImage recall) {
	n, m := len(images)/E, len(texts)/E
	cosine := make([]float32, n*m)
	for i := range n {
		for j := range m {
			for k, v := range images[i*E:][:E] {
				cosine[i*m+j] += v * texts[j*E+k]
			}
		}
	}
	down, up := make([]int, n), make([]int, m)
	for i := range n {
		own := cosine[i*m+captionOf[i]]
		down[i] = 1
		for _, v := range cosine[i*m:][:m] {
			if v > own {
				down[i]++
			}
		}
	}
	for j := range m {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return -cmp.Compare(cosine[a*m+j], cosine[b*m+j]) })
		up[j] = 1 + slices.IndexFunc(order, func(i int) bool { return captionOf[i] == j })
	}
	return recallOf(down), recallOf(up)
}
