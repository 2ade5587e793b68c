package embed

import (
	"context"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// Files calls yield with the image files that can be read, in order, and their
// unit vectors (E), and skip with the others. It reads one batch ahead. An error
// of yield ends it.
func (m *Model) Files(ctx context.Context, files []string, yield func(file string, vector []float32) error, skip func(file string, err error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := 0
	for b := range m.read(ctx, files) {
		for _, f := range b.faults {
			skip(f.file, f.err)
		}
		rows, err := m.embed(ctx, b.pixels)
		if err != nil {
			return errors.WithMessagef(err, "stopped after %d images", done)
		}
		for i, file := range b.files {
			if err := yield(file, row(rows, i, m.Dim())); err != nil {
				return err
			}
			done++
		}
	}
	return errors.Wrapf(ctx.Err(), "stopped after %d images", done)
}

// batch is images that were read, and files that could not be.
type batch struct {
	files  []string
	pixels []float32 // of each file (C, S, S)
	faults []fault
}

type fault struct {
	file string
	err  error
}

// read decodes and prepares files in batches until ctx is cancelled.
func (m *Model) read(ctx context.Context, files []string) <-chan batch {
	batches := make(chan batch)
	go func() {
		defer close(batches)
		for len(files) > 0 && ctx.Err() == nil {
			n := min(imageBatch, len(files))
			select {
			case batches <- m.readBatch(files[:n]):
			case <-ctx.Done():
			}
			files = files[n:]
		}
	}()
	return batches
}

func (m *Model) readBatch(files []string) batch {
	pixels, errs := m.prepare(len(files), func(i int) (*data.Image, error) { return data.DecodeFile(files[i], 0) })
	var b batch
	each := m.pixels()
	for i, file := range files {
		if errs[i] != nil {
			b.faults = append(b.faults, fault{file, errs[i]})
			continue
		}
		copy(pixels[len(b.files)*each:], pixels[i*each:][:each])
		b.files = append(b.files, file)
	}
	b.pixels = pixels[:len(b.files)*each]
	return b
}
