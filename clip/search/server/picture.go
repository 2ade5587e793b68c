package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"image"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// A picture is a file that has not been decoded: many may wait, and decoded they
// take a hundred times the memory.
type picture struct {
	file   []byte
	pixels int // by its header
}

// readPicture looks at the header of an image file and refuses one that would
// take too much memory.
func (s *Server) readPicture(file []byte, field string) (picture, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return picture{}, badRequest("%s is no JPEG, PNG, GIF, WebP, BMP or TIFF image: %v", field, err)
	}
	if c.Width <= 0 || c.Height <= 0 {
		return picture{}, badRequest("%s: an image of %d×%d pixels is empty", field, c.Width, c.Height)
	}
	if c.Width > s.o.MaxPixels/c.Height {
		return picture{}, refuse(http.StatusRequestEntityTooLarge, "too_many_pixels", "%s: an image of %d×%d pixels, at most %d pixels are taken", field, c.Width, c.Height, s.o.MaxPixels)
	}
	return picture{file, c.Width * c.Height}, nil
}

// readDataURL reads an image from "data:image/…;base64,…".
func (s *Server) readDataURL(url, field string) (picture, error) {
	head, encoded, found := strings.Cut(url, ",")
	if !found || !strings.HasPrefix(head, "data:") || !strings.HasSuffix(head, ";base64") {
		return picture{}, badRequest("%s is %.24q…, want a data URL: data:image/png;base64,…", field, url)
	}
	encoding := base64.StdEncoding
	if !strings.HasSuffix(encoded, "=") {
		encoding = base64.RawStdEncoding // padding is often left out
	}
	file, err := encoding.DecodeString(encoded)
	if err != nil {
		return picture{}, badRequest("%s: %v", field, err)
	}
	return s.readPicture(file, field)
}

// decode gives the upright image.
func (s *Server) decode(p picture) (im image.Image, err error) {
	defer func() {
		// The decoders read foreign bytes, and not all of them are the standard
		// library's.
		if r := recover(); r != nil {
			err = badRequest("the image could not be decoded: %v", r)
		}
	}()
	decoded, err := data.Decode(bytes.NewReader(p.file), s.o.MaxPixels)
	if err != nil {
		return nil, badRequest("the image could not be decoded: %v", err)
	}
	return decoded.Std(), nil
}

// embedImages decodes and embeds a batch. A file that is damaged behind its
// header is the failure of its sender alone.
func (s *Server) embedImages(ctx context.Context, batch []picture) []answer {
	answers := make([]answer, len(batch))
	images := make([]image.Image, len(batch))
	var decoders sync.WaitGroup
	for w := range min(len(batch), runtime.GOMAXPROCS(0)) {
		decoders.Go(func() {
			for i := w; i < len(batch); i += runtime.GOMAXPROCS(0) {
				images[i], answers[i].err = s.decode(batch[i])
			}
		})
	}
	decoders.Wait()
	var sound []image.Image
	var at []int
	for i, im := range images {
		if answers[i].err == nil {
			sound, at = append(sound, im), append(at, i)
		}
	}
	for i, a := range embedAll(ctx, sound, s.dim, s.embed.Images) {
		answers[at[i]] = a
	}
	return answers
}

func (s *Server) embedTexts(ctx context.Context, batch []string) []answer {
	return embedAll(ctx, batch, s.dim, s.embed.Texts)
}

// embedAll has values embedded together, or where that fails each alone, for
// only one may be at fault.
func embedAll[T any](ctx context.Context, values []T, dim int, embed func(context.Context, []T) ([][]float32, error)) []answer {
	if len(values) == 0 {
		return nil
	}
	vectors, err := embed(ctx, values)
	if err == nil && len(vectors) != len(values) {
		err = errors.Errorf("the model made %d vectors of %d inputs", len(vectors), len(values))
	}
	answers := make([]answer, len(values))
	for i := range answers {
		switch {
		case err != nil && len(values) > 1 && ctx.Err() == nil:
			answers[i] = embedAll(ctx, values[i:i+1], dim, embed)[0]
		case err != nil:
			answers[i].err = err
		case len(vectors[i]) != dim:
			answers[i].err = errors.Errorf("the model made a vector of %d numbers, want %d", len(vectors[i]), dim)
		default:
			answers[i].vector = vectors[i]
		}
	}
	return answers
}

// content is a text or an image that is to be embedded.
type content struct {
	text  string
	image *picture // nil for a text
}

// vectors embeds texts and images in batches with those of other requests.
func (s *Server) vectors(ctx context.Context, contents []content) ([][]float32, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what still waits leaves the queue when another failed
	var texts []*input[string]
	var images []*input[picture]
	waits := make([]func() ([]float32, error), len(contents))
	for i, c := range contents {
		if c.image == nil {
			in := &input[string]{value: c.text, key: c.text}
			texts = append(texts, in)
			waits[i] = func() ([]float32, error) { return s.texts.wait(in) }
			continue
		}
		sum := sha256.Sum256(c.image.file)
		in := &input[picture]{value: *c.image, key: string(sum[:]), cost: c.image.pixels}
		images = append(images, in)
		waits[i] = func() ([]float32, error) { return s.images.wait(in) }
	}
	if err := s.texts.submit(ctx, texts); err != nil {
		return nil, err
	}
	if err := s.images.submit(ctx, images); err != nil {
		return nil, err
	}
	out := make([][]float32, len(contents))
	for i, wait := range waits {
		v, err := wait()
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// jsonType is the name of what a Go type is in JSON.
func jsonType(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int64:
		return "an integer"
	}
	return "a number"
}
