package main

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
	"tessera/train/data"
)

// exploration is what a trained model makes of images that it has not seen.
type exploration struct {
	*clipRun
	test, held *gallery // of combinations seen in training, and of others
	toImage    recall
	searches   []lookup
}

// gallery is a part of the drawn images as the model sees it.
type gallery struct {
	data.Shapes
	rows    []float32   // (N, E)
	guesses []candidate // the likeliest class of each
}

// explore classifies the images held out and searches in them.
func (r *clipRun) explore(ctx context.Context) (*exploration, error) {
	x := &exploration{clipRun: r}
	classify, err := r.classifier(ctx, r.texts)
	if err != nil {
		return nil, err
	}
	for _, p := range []struct {
		from data.Dataset
		to   **gallery
	}{{r.parts.test, &x.test}, {r.held, &x.held}} {
		if *p.to, err = r.look(ctx, p.from.(data.Shapes), classify); err != nil {
			return nil, err
		}
	}
	return x, x.search(ctx)
}

// look embeds and classifies a part.
func (r *clipRun) look(ctx context.Context, ds data.Shapes, classify func([]float32) []float64) (*gallery, error) {
	s := &gallery{Shapes: ds}
	l := &data.Loader{Dataset: ds, BatchSize: r.batch, Workers: r.workers, Inputs: []data.Input{data.Images(r.embed.Input, nil)}}
	for m, err := range l.Epoch() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Wrapf(err, "stopped after %d images", len(s.guesses))
		}
		rows, err := r.embed.Prepared(ctx, m.Batch["image"])
		if err != nil {
			return nil, err
		}
		s.rows = append(s.rows, rows...)
		for row := range slices.Chunk(rows, r.embed.Dim()) {
			s.guesses = append(s.guesses, rankNames(r.texts.classes, classify(row), 1)[0])
		}
	}
	return s, nil
}

// is tells whether image i was taken for what it is.
func (s *gallery) is(i int) bool { return s.guesses[i].Label == s.Spec(i).Pair.String() }

func (s *gallery) right() int {
	n := 0
	for i := range s.guesses {
		if s.is(i) {
			n++
		}
	}
	return n
}

func (s *gallery) Accuracy() float64 { return float64(s.right()) / float64(len(s.guesses)) }

// lookup is what a text finds.
type lookup struct {
	Text string
	All  int // images that fit
	Hits []hit
}

type hit struct {
	Spec   data.ShapeSpec
	Cosine float64
	Fits   bool
}

// Fitting is how many hits fit.
func (s lookup) Fitting() int {
	n := 0
	for _, h := range s.Hits {
		if h.Fits {
			n++
		}
	}
	return n
}

const hitsShown = 8

// search looks for the caption of an image of each combination held out, among
// all images not seen in training, and measures how every caption does.
func (x *exploration) search(ctx context.Context) error {
	E := x.embed.Dim()
	var specs []data.ShapeSpec
	var rows []float32
	t := texts{known: map[string]int{}}
	for _, part := range []*gallery{x.held, x.test} {
		rows = append(rows, part.rows...)
		for i := range part.N {
			spec := part.Spec(i)
			specs = append(specs, spec)
			t.add([]string{spec.Caption()})
		}
	}
	captions, err := x.embedTexts(ctx, t.all)
	if err != nil {
		return err
	}
	_, x.toImage = ranks(rows, captions, t.own, E)
	for _, spec := range x.examples() {
		s := lookup{Text: spec.Caption()}
		query := captions[t.known[s.Text]*E:][:E]
		for i, row := range slices.Collect(slices.Chunk(rows, E)) {
			h := hit{specs[i], cosine(row, query), specs[i].Caption() == s.Text}
			s.Hits = append(s.Hits, h)
			if h.Fits {
				s.All++
			}
		}
		slices.SortStableFunc(s.Hits, func(a, b hit) int { return cmp.Compare(b.Cosine, a.Cosine) })
		s.Hits = s.Hits[:min(hitsShown, len(s.Hits))]
		x.searches = append(x.searches, s)
	}
	return nil
}

// examples are an image of each combination held out: the first, but of another
// place than those before, so that words for places are tried as well.
func (x *exploration) examples() []data.ShapeSpec {
	var all []data.ShapeSpec
	for _, p := range x.heldAs {
		var found *data.ShapeSpec
		for i := range x.held.N {
			spec := x.held.Spec(i)
			if spec.Pair != p {
				continue
			}
			if found == nil {
				found = &spec
			}
			if !slices.ContainsFunc(all, func(s data.ShapeSpec) bool { return s.Row == spec.Row && s.Col == spec.Col }) {
				found = &spec
				break
			}
		}
		if found != nil { // few images may leave a combination out
			all = append(all, *found)
		}
	}
	return all
}

// suggestion is a command to try next.
type suggestion struct{ What, Command string }

// imagesKept is how many images are written to try the model on.
const imagesKept = 100

// images writes images of combinations held out into the folder of the results,
// named by what they show, and says what to try with them.
func (x *exploration) images(out, program string) ([]suggestion, error) {
	dir := filepath.Join(out, "images")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, errors.WithStack(err)
	}
	first := ""
	for i := range min(imagesKept, x.held.N) {
		spec := x.held.Spec(i)
		path := filepath.Join(dir, fmt.Sprintf("%s-%03d.png", strings.ReplaceAll(spec.Caption(), " ", "-"), i))
		if err := writePNG(path, pictured(spec, x.held.Size)); err != nil {
			return nil, err
		}
		if i == 0 {
			first = path
		}
	}
	spec := x.held.Spec(0)
	var names []string
	for _, p := range x.heldAs {
		names = append(names, p.String())
	}
	model := program + " clip "
	return []suggestion{
		{"find images by a text", model + fmt.Sprintf("retrieve --model %s --text %s --top 5 %s", quoted(out), quoted(spec.Caption()), quoted(dir))},
		{"name what an image shows, among names of your choice", model + fmt.Sprintf("classify --model %s --classes %s --template %s %s",
			quoted(out), quoted(strings.Join(names, ",")), quoted(strings.Replace(spec.Caption(), spec.Pair.String(), "{}", 1)), quoted(first))},
		{"see what speaks for a text", model + fmt.Sprintf("heatmap %s --model %s --text %s -o %s",
			quoted(first), quoted(out), quoted(spec.Caption()), quoted(filepath.Join(out, "heatmap.png")))},
		{"train longer", model + "train --data shapes --out runs/clip"},
		{"hold the model against what the paper says it must do", program + " doctor " + quoted(out)},
	}, nil
}

// pictured is the image of a spec.
func pictured(spec data.ShapeSpec, size int) image.Image {
	im, _ := spec.Draw(size)
	return im.Std()
}

func writePNG(path string, im image.Image) error {
	return safetensors.WriteAtomic(path, func(w io.Writer) error { return errors.Wrap(png.Encode(w, im), path) })
}
