package main

import (
	"context"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/embed"
	"tessera/clip/search"
	"tessera/train/data"
)

const (
	catalogueItems = 4000
	catalogueNear  = 0.5 // share of the captions that are wrong in one respect
)

// shapes compares kinds of fusion on a catalogue of drawn shapes, which is like
// those of shops: captions leave out the place of the shape, and half of them name
// a color, shape or size that is not quite that of the image. A query is another
// such description, or another image; what is relevant are the items whose image
// has the color, shape and size, whatever their caption says.
func (o *searchEvalOptions) shapes(cmd *cobra.Command, q search.Query) ([]found, error) {
	n := catalogueItems
	kind, arg, given := strings.Cut(o.data, ":")
	if kind != "shapes" {
		return nil, usagef("--data %s: want shapes[:N]", o.data)
	}
	if given {
		var err error
		if n, err = strconv.Atoi(arg); err != nil || n < 1 {
			return nil, usagef("--data %s: %q is not a number of items", o.data, arg)
		}
	}
	m, err := o.embedder(logger(cmd))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	ctx := cmd.Context()
	dir, err := os.MkdirTemp("", "tessera")
	if err != nil {
		return nil, errors.WithStack(err)
	}
	defer os.RemoveAll(dir)
	index, err := search.Open(filepath.Join(dir, "shapes"), search.Options{Dim: m.Dim(), Model: m.Model()})
	if err != nil {
		return nil, err
	}
	defer index.Close()
	shapes := data.Shapes{N: n, Size: m.CLIP.Config.Vision.ImageSize, Seed: o.seed << 8}
	relevant, err := catalogue(ctx, index, m, shapes, o.seed)
	if err != nil {
		return nil, err
	}
	var all []found
	// The queries are of others than the items.
	other := data.Shapes{N: o.queries, Size: shapes.Size, Seed: o.seed<<8 + 1}
	for _, kind := range []search.Modality{search.Texts, search.Images} {
		vectors, err := shapeVectors(ctx, m, other, kind)
		if err != nil {
			return nil, err
		}
		var queries [][]search.Term
		var gains []map[string]float64
		for i, v := range vectors {
			if g := relevant[description(other.Spec(i))]; len(g) > 0 {
				queries = append(queries, []search.Term{{Vector: v, Kind: kind, Weight: 1}})
				gains = append(gains, g)
			}
		}
		if len(queries) == 0 {
			return nil, usagef("--data %s: none of the %d queries has an answer among so few items", o.data, o.queries)
		}
		rows, err := o.compare(ctx, index, q, queries, func(i int) map[string]float64 { return gains[i] })
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			r.Name = fmt.Sprintf("%s, %s", kind, r.Name)
			all = append(all, r)
		}
	}
	return all, nil
}

// description tells size, color and shape.
func description(s data.ShapeSpec) string {
	size := "small"
	if s.Large {
		size = "large"
	}
	return "a " + size + " " + s.Pair.String()
}

// shapeVectors embeds the descriptions or the images of shapes.
func shapeVectors(ctx context.Context, m *embed.Model, s data.Shapes, kind search.Modality) ([][]float32, error) {
	if kind == search.Texts {
		var texts []string
		for i := range s.Len() {
			texts = append(texts, description(s.Spec(i)))
		}
		return m.Texts(ctx, texts)
	}
	var images []image.Image
	for i := range s.Len() {
		ex, err := s.Example(i)
		if err != nil {
			return nil, err
		}
		images = append(images, ex.Image.Std())
	}
	return m.Images(ctx, images)
}

// catalogue fills an index and gives the items by what their images show.
func catalogue(ctx context.Context, index search.Index, m *embed.Model, s data.Shapes, seed uint64) (map[string]map[string]float64, error) {
	images, err := shapeVectors(ctx, m, s, search.Images)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	items := make([]search.Item, s.Len())
	texts := make([]string, s.Len())
	relevant := map[string]map[string]float64{}
	for i := range items {
		spec, id := s.Spec(i), strconv.Itoa(i)
		shows := description(spec)
		if relevant[shows] == nil {
			relevant[shows] = map[string]float64{}
		}
		relevant[shows][id] = 1
		if rng.Float64() < catalogueNear {
			spec = nearMiss(spec, rng)
		}
		texts[i] = description(spec)
		items[i] = search.Item{ID: id, Text: texts[i], ImageVector: images[i]}
	}
	rows, err := m.Texts(ctx, texts)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		items[i].TextVector = row
	}
	return relevant, index.Put(ctx, items)
}

// nearMiss changes one of color, shape and size.
func nearMiss(s data.ShapeSpec, rng *rand.Rand) data.ShapeSpec {
	other := func(now, n int) int { return (now + 1 + rng.IntN(n-1)) % n }
	switch rng.IntN(3) {
	case 0:
		s.Color = other(s.Color, len(data.ShapeColors()))
	case 1:
		s.Kind = other(s.Kind, len(data.ShapeKinds()))
	case 2:
		s.Large = !s.Large
	}
	return s
}
