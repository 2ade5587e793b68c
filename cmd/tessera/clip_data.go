package main

import (
	"iter"
	"math/rand/v2"
	"strings"

	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/train/data"
)

// classTemplates are the captions of data sets that have none.
var classTemplates = []string{"a photo of a {}", "a picture of a {}", "an image of a {}", "a {}"}

// shapeTemplates are the captions that "shapes" has for a combination of color
// and shape.
func shapeTemplates() (all []string) {
	for _, size := range []string{"small", "large"} {
		for _, place := range []string{
			"at the top left", "at the top", "at the top right", "on the left", "in the center", "on the right",
			"at the bottom left", "at the bottom", "at the bottom right",
		} {
			all = append(all, "a "+size+" {} "+place)
		}
	}
	return all
}

// captions gives the texts of a data set's examples.
type captions struct {
	classes   []string       // none: the examples are told apart by their captions alone
	templates []string       // by which classes are asked for and, without captions, described
	own       data.Captioned // the examples, if they have captions of their own
	seed      uint64
}

// on is c for another part of the data.
func (c captions) on(part data.Dataset) captions {
	if c.own != nil {
		c.own, _ = part.(data.Captioned)
	}
	return c
}

// of is a caption of the example in a row of a batch, and the number of what it
// is about: of the class, or −1 where captions tell more than that. Of several
// captions, or templates, each epoch draws one.
func (c captions) of(m data.Minibatch, row int) (text string, class int) {
	i := m.Index[row]
	r := rand.New(rand.NewPCG(c.seed, uint64(m.Epoch)<<32|uint64(i)))
	if c.own != nil {
		texts := c.own.Captions(i)
		return texts[r.IntN(len(texts))], -1
	}
	label := argmax(m.Batch["label"].Float32s()[row*len(c.classes):][:len(c.classes)])
	return fill(c.templates[r.IntN(len(c.templates))], c.classes[label]), label
}

// all yields every caption, for a tokenizer to learn from.
func (c captions) all(yield func(string) bool) {
	if len(c.classes) == 0 {
		for i := range c.own.Len() {
			for _, text := range c.own.Captions(i) {
				if !yield(text) {
					return
				}
			}
		}
		return
	}
	for _, name := range c.classes {
		for _, t := range c.templates {
			if !yield(fill(t, name)) {
				return
			}
		}
	}
}

// fill puts a name into a template.
func fill(template, name string) string { return strings.ReplaceAll(template, "{}", name) }

// longest is the number of tokens of the longest caption.
func (c captions) longest(t *bpe.Tokenizer) int {
	n := 0
	for text := range c.all {
		n = max(n, len(t.Encode(text)))
	}
	return n
}

// pairs adds texts to batches of images: ids, ends and, if wanted, label, by
// which rows that say the same belong together.
func pairs(batches iter.Seq2[data.Minibatch, error], c captions, t *bpe.Tokenizer, text clip.TextConfig, length int, same bool) iter.Seq2[data.Minibatch, error] {
	known := map[string][]int{} // captions repeat
	return func(yield func(data.Minibatch, error) bool) {
		for m, err := range batches {
			if err == nil {
				err = addTexts(m, c, t, text, length, known)
			}
			if err == nil && !same {
				delete(m.Batch, "label")
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func addTexts(m data.Minibatch, c captions, t *bpe.Tokenizer, text clip.TextConfig, length int, known map[string][]int) error {
	n := len(m.Index)
	texts, labels, first := make([][]int, n), make([]float32, n), map[string]int{}
	for row := range n {
		caption, class := c.of(m, row)
		ids, ok := known[caption]
		if !ok {
			ids = t.Encode(caption)
			if len(ids) > length {
				ids = t.Pad(ids, length)
			}
			known[caption] = ids
		}
		texts[row] = ids
		if class < 0 {
			if _, ok := first[caption]; !ok {
				first[caption] = row
			}
			class = first[caption]
		}
		labels[row] = float32(class)
	}
	ids, ends, err := text.Texts(texts, length)
	if err != nil {
		return err
	}
	m.Batch["ids"], m.Batch["ends"] = ids, ends
	m.Batch["label"] = tensor.New(tensor.WithShape(n), tensor.WithBacking(labels))
	return nil
}
