package main

import (
	"context"
	"log/slog"
	"math/rand/v2"

	"github.com/pkg/errors"

	"tessera/flamingo"
	"tessera/train/data"
)

// captionPrompt asks for a caption, as open_flamingo does.
const captionPrompt = "Output:"

// namePrompt asks for the name of a color.
const namePrompt = "it is called"

// questionPrompt asks a question.
func questionPrompt(q string) string { return "Question: " + q + " Answer:" }

// ask is a prompt and its answer. The first of an image asks for its caption,
// the others are questions; asks of a number are of a kind.
type ask struct{ prompt, answer string }

// asked is an image with what may be asked about it.
type asked struct {
	image flamingo.Image
	asks  []ask
	spec  *data.ShapeSpec // of a drawn shape; nil: of none
}

// album are images that are asked about. Those of its texts that are about the
// names of colors give colors made-up ones of words, anew in each.
type album struct {
	images []asked
	words  []string // none: there are no such texts
	colors [][]int  // images by color, if there are words
}

// newAlbum takes words of NamingWords for a data set that asks for them.
func newAlbum(images []asked, words []string) *album {
	a := &album{images: images, words: words}
	if len(words) == 0 {
		return a
	}
	a.colors = make([][]int, len(data.ShapeColors()))
	for i, im := range images {
		a.colors[im.spec.Color] = append(a.colors[im.spec.Color], i)
	}
	return a
}

// asksOf are the asks about example i of a data set.
func asksOf(ds data.Dataset, i int, ex data.Example, template string) []ask {
	asks := []ask{{captionPrompt, captionOf(ex, ds.Classes(), template)}}
	if s, ok := ds.(data.Shapes); ok {
		for _, q := range s.Questions(i) {
			asks = append(asks, ask{questionPrompt(q.Text), q.Answer})
		}
	} else if ex.Label >= 0 && ex.Label < len(ds.Classes()) {
		asks = append(asks, ask{questionPrompt("what is this?"), ds.Classes()[ex.Label]})
	}
	return asks
}

// lookAndAsk shows a data set to the tower.
func lookAndAsk(ctx context.Context, t *tower, ds data.Dataset, template string, log *slog.Logger, progress func(int) error) ([]asked, error) {
	images, err := t.look(ctx, ds, log, progress)
	if err != nil {
		return nil, err
	}
	var out []asked
	for _, s := range images {
		asks := asksOf(ds, s.index, s.Example, template)
		if asks[0].answer == "" {
			log.Warn("skipped", "image", s.Name, "error", "it has neither caption nor class")
			continue
		}
		a := asked{image: s.Image, asks: asks}
		if shapes, ok := ds.(data.Shapes); ok {
			spec := shapes.Spec(s.index)
			a.spec = &spec
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, errors.New("none of the images has a caption or a class")
	}
	return out, nil
}

// lesson puts the training sequence of image i together: chance chooses what is
// asked, captions as often as questions, and up to shots other images of which
// the same is asked before it. With words, half of the texts are about names.
func (d *describer) lesson(a *album, i, shots int, r *rand.Rand) flamingo.Sequence {
	if len(a.words) > 0 && r.IntN(2) == 0 {
		return d.sequence(a.named(a, i, shots, r)...)
	}
	images, kind := a.images, 0
	if n := len(images[i].asks); n > 1 && r.IntN(2) == 1 {
		kind = 1 + r.IntN(n-1)
	}
	var chunks []chunk
	for range r.IntN(shots + 1) {
		if len(images) == 1 {
			break
		}
		j := r.IntN(len(images) - 1)
		if j >= i { // not the image itself, whose answer would be given away
			j++
		}
		chunks = append(chunks, images[j].chunk(kind))
	}
	return d.sequence(append(chunks, images[i].chunk(kind))...)
}

// named asks what the color of image i is called, after examples of it and of
// another color. What cannot be known from those before is not learned.
func (a *album) named(examples *album, i, shots int, r *rand.Rand) []chunk {
	var chunks []chunk
	naming, known := data.NewNaming(a.words, r), map[int]bool{}
	add := func(im asked) {
		color := im.spec.Color
		chunks = append(chunks, chunk{im.image, namePrompt, naming[color], !known[color]})
		known[color] = true
	}
	for _, color := range naming.Examples(a.images[i].spec.Color, shots, r) {
		same := examples.colors[color]
		if len(same) == 0 {
			continue
		}
		j := same[r.IntN(len(same))]
		if a == examples && j == i { // its answer would be given away
			continue
		}
		add(examples.images[j])
	}
	add(a.images[i])
	return chunks
}

// chunk answers the ask of a kind, or the first where there is none.
func (a asked) chunk(kind int) chunk {
	if kind >= len(a.asks) {
		kind = 0
	}
	return chunk{image: a.image, prompt: a.asks[kind].prompt, answer: a.asks[kind].answer}
}

// longest is the number of tokens of the longest chunk of images.
func (d *describer) longest(a *album) int {
	n, known := 0, map[ask]bool{}
	for _, w := range a.words {
		n = max(n, len(d.sequence(chunk{image: a.images[0].image, prompt: namePrompt, answer: w}).IDs))
	}
	for _, im := range a.images {
		for kind, a := range im.asks {
			if !known[a] {
				known[a] = true
				n = max(n, len(d.sequence(im.chunk(kind)).IDs))
			}
		}
	}
	return n
}
