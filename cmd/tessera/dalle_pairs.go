package main

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/dalle"
	"tessera/train/data"
	"tessera/vqvae"
)

// captioned is an image, as tokens, with its caption and class.
type captioned struct {
	text  string
	label int
	ids   []int
}

// captionOf is the caption of an example, or a template with its class where it
// has none.
func captionOf(ex data.Example, classes []string, template string) string {
	if ex.Caption != "" || ex.Label < 0 || ex.Label >= len(classes) {
		return ex.Caption
	}
	return strings.ReplaceAll(template, "{}", classes[ex.Label])
}

// textsOf yields all captions, for a tokenizer to learn from.
func textsOf(images []captioned) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, c := range images {
			if !yield(c.text) {
				return
			}
		}
	}
}

// encodeCaptioned turns the images of a data set into tokens. Those that cannot
// be read are reported and left out; it is an error if none is left.
func encodeCaptioned(ctx context.Context, m *vqvae.Model, ds data.Dataset, template string, log *slog.Logger, progress func(done int) error) ([]captioned, error) {
	const batch = 64
	t := m.Tokenizer()
	defer t.Close()
	p, size := pixels(m.Config), m.Channels*m.ImageSize*m.ImageSize
	values := make([]float32, batch*size)
	var out []captioned
	coded := 0 // of out
	flush := func() error {
		n := len(out) - coded
		if n == 0 {
			return nil
		}
		ids, err := t.Encode(tensor.New(tensor.WithShape(n, m.Channels, m.ImageSize, m.ImageSize), tensor.WithBacking(values[:n*size:n*size])))
		if err != nil {
			return err
		}
		for i := range n {
			out[coded+i].ids = ids[i*m.Tokens() : (i+1)*m.Tokens()]
		}
		coded = len(out)
		return nil
	}
	for i := range ds.Len() {
		if err := ctx.Err(); err != nil {
			return nil, errors.Wrapf(err, "stopped after %d images", i)
		}
		if err := progress(i); err != nil {
			return nil, err
		}
		ex, err := ds.Example(i)
		if err == nil {
			at := (len(out) - coded) * size
			var im *data.Image
			if im, err = p.Apply(ex.Image); err == nil {
				err = p.Normalize(values[at:at+size], im)
			}
		}
		if err != nil {
			log.Warn("skipped", "image", ex.Name, "error", err.Error())
			continue
		}
		out = append(out, captioned{text: captionOf(ex, ds.Classes(), template), label: ex.Label})
		if len(out)-coded == batch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("none of the images could be read")
	}
	return out, progress(ds.Len())
}

// pairs are the tokens of captions and images.
func (p *painter) pairs(images []captioned) []dalle.Pair {
	known := map[string][]int{} // captions repeat
	out := make([]dalle.Pair, len(images))
	for i, c := range images {
		ids, ok := known[c.text]
		if !ok {
			ids, _, _ = p.encode(c.text)
			known[c.text] = ids
		}
		out[i] = dalle.Pair{Text: ids, Image: c.ids}
	}
	return out
}

// shuffled gives every image the caption of another that has another one. It is
// an error if all captions are the same.
func shuffled(images []captioned) ([]captioned, error) {
	if !slices.ContainsFunc(images, func(c captioned) bool { return c.text != images[0].text }) {
		return nil, errors.Errorf("all %d images have one caption, %q: there is nothing to shuffle", len(images), images[0].text)
	}
	out := slices.Clone(images)
	n := len(images)
	for i := range out {
		for k := i + n/2; out[i].text == images[i].text; k++ {
			out[i].text = images[k%n].text
		}
	}
	return out, nil
}

// holdOut keeps the examples of drawn shapes that show pairs of color and shape
// to train with, of which n are held out.
func holdOut(ds data.Dataset, n int, seed uint64) (data.Dataset, error) {
	s, ok := ds.(data.Shapes)
	if !ok {
		return nil, usagef("--hold-out %d: only shapes have pairs of color and shape to hold out", n)
	}
	seen, _, err := data.HoldOut(n, seed)
	s.Pairs = seen
	return s, err
}
