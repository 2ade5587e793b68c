package data

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// A CIFAR-10 record is a label and the three planes of an image.
const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarRecord = 1 + 3*cifarPlane
	cifarFile   = 10_000 * cifarRecord // the size of a published file, and the limit
)

// CIFAR10 opens the split "train" (data_batch_1.bin to data_batch_5.bin) or
// "test" (test_batch.bin) of the binary version of CIFAR-10 as found in dir: RGB
// images of 32×32 pixels in 10 classes, named in batches.meta.txt. The images
// stay in memory. A missing or damaged file is an error.
func CIFAR10(dir, split string) (Dataset, error) {
	var files []string
	switch split {
	case "train":
		for i := 1; i <= 5; i++ {
			files = append(files, fmt.Sprintf("data_batch_%d.bin", i))
		}
	case "test":
		files = []string{"test_batch.bin"}
	default:
		return nil, errors.Errorf("data: CIFAR-10 has no split %q, want train or test", split)
	}
	classes, err := cifarClasses(filepath.Join(dir, "batches.meta.txt"))
	if err != nil {
		return nil, err
	}
	p := &packed{w: cifarSide, h: cifarSide, c: 3, classes: classes, split: split}
	for _, name := range files {
		name = filepath.Join(dir, name)
		f, err := os.Open(name)
		if err != nil {
			return nil, errors.Wrap(err, "data")
		}
		err = p.readCIFAR(f)
		f.Close()
		if err != nil {
			return nil, errors.WithMessagef(err, "data: %s", name)
		}
	}
	return p, nil
}

// readCIFAR appends the records of a file.
func (p *packed) readCIFAR(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, cifarFile+1))
	if err != nil {
		return err
	}
	switch {
	case len(b) > cifarFile:
		return errors.Errorf("more than %d bytes", cifarFile)
	case len(b) == 0 || len(b)%cifarRecord != 0:
		return errors.Errorf("%d bytes, want a positive multiple of %d", len(b), cifarRecord)
	}
	p.pix = slices.Grow(p.pix, len(b))
	for at := 0; at < len(b); at += cifarRecord {
		label, planes := b[at], b[at+1:at+cifarRecord]
		if int(label) >= len(p.classes) {
			return errors.Errorf("label %d in record %d, want 0 to %d", label, at/cifarRecord, len(p.classes)-1)
		}
		p.labels = append(p.labels, label)
		for i := range cifarPlane {
			p.pix = append(p.pix, planes[i], planes[cifarPlane+i], planes[2*cifarPlane+i])
		}
	}
	return nil
}

// cifarClasses reads one name per line; there is an empty line at the end.
func cifarClasses(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return nil, errors.Wrapf(err, "data: %s", path)
	}
	names := strings.Fields(string(b))
	if len(names) != 10 {
		return nil, errors.Errorf("data: %s: %d class names, want 10", path, len(names))
	}
	return names, nil
}
