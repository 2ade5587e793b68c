package data

import (
	"fmt"
	"io"
	"os"

	"github.com/pkg/errors"
)

// packed is a data set of equally large images in memory.
type packed struct {
	w, h, c int
	pix     []byte // n images of h·w·c values, channels interleaved
	labels  []byte
	classes []string
	split   string
}

func (p *packed) Len() int          { return len(p.labels) }
func (p *packed) Classes() []string { return p.classes }

func (p *packed) Example(i int) (Example, error) {
	size := p.w * p.h * p.c
	return Example{
		Image: &Image{W: p.w, H: p.h, C: p.c, Pix: p.pix[i*size : (i+1)*size : (i+1)*size]},
		Label: int(p.labels[i]),
		Name:  fmt.Sprintf("%s/%d", p.split, i),
	}, nil
}

// firstFile opens the first of the named files that exists.
func firstFile(names ...string) (*os.File, error) {
	for _, name := range names {
		f, err := os.Open(name)
		if err == nil || !os.IsNotExist(err) {
			return f, errors.Wrap(err, "data")
		}
	}
	return nil, errors.Errorf("data: none of these files exists: %q", names)
}

// readSome reads n bytes. Memory grows with what is there, not with n.
func readSome(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(b)) < n {
		err = errors.Errorf("truncated: %d bytes where %d are wanted", len(b), n)
	}
	return b, err
}

// atEnd reports bytes where there should be none.
func atEnd(r io.Reader) error {
	n, err := io.CopyN(io.Discard, r, 1)
	if n > 0 {
		return errors.New("trailing bytes after the last value")
	}
	if err != io.EOF {
		return err
	}
	return nil
}
