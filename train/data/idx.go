package data

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// Limits on what an IDX file may declare.
const (
	maxIDXBytes = 4 << 30
	maxIDXSide  = 1 << 14 // pixels
)

// FashionMNIST opens the split "train" or "test" of Fashion-MNIST
// (arXiv:1708.07747) as found in dir: 60,000 or 10,000 gray images of 28×28
// pixels in 10 classes. See [MNIST] for the names of the files.
func FashionMNIST(dir, split string) (Dataset, error) {
	return mnist(dir, split, []string{
		"T-shirt/top", "trouser", "pullover", "dress", "coat",
		"sandal", "shirt", "sneaker", "bag", "ankle boot",
	})
}

// MNIST opens the split "train" or "test" of the MNIST digits as found in dir:
// the files train-images-idx3-ubyte and train-labels-idx1-ubyte, or t10k-… for
// the test, also with a dot for the second hyphen and with the suffix .gz.
func MNIST(dir, split string) (Dataset, error) {
	return mnist(dir, split, digits(10))
}

func digits(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

func mnist(dir, split string, classes []string) (Dataset, error) {
	prefix, ok := map[string]string{"train": "train", "test": "t10k"}[split]
	if !ok {
		return nil, errors.Errorf("data: MNIST has no split %q, want train or test", split)
	}
	images, err := readIDXFile(3, idxNames(dir, prefix+"-images", "idx3-ubyte")...)
	if err != nil {
		return nil, err
	}
	labels, err := readIDXFile(1, idxNames(dir, prefix+"-labels", "idx1-ubyte")...)
	if err != nil {
		return nil, err
	}
	return joinIDX(images, labels, classes, split)
}

func idxNames(dir, name, kind string) []string {
	name = filepath.Join(dir, name)
	return []string{
		name + "-" + kind, name + "-" + kind + ".gz",
		name + "." + kind, name + "." + kind + ".gz",
	}
}

// OpenIDX reads a file of images, unsigned bytes (N, H, W), and one of labels,
// unsigned bytes (N), in the format of MNIST, gzipped or not. Without names the
// classes are called "0" to the largest label. The files stay in memory,
// unpacked; damaged ones, labels without a class and differing N are errors.
func OpenIDX(images, labels string, classes []string) (Dataset, error) {
	x, err := readIDXFile(3, images)
	if err != nil {
		return nil, err
	}
	y, err := readIDXFile(1, labels)
	if err != nil {
		return nil, err
	}
	if classes == nil && len(y.values) > 0 {
		classes = digits(int(slices.Max(y.values)) + 1)
	}
	base, _, _ := strings.Cut(filepath.Base(images), ".")
	return joinIDX(x, y, classes, base)
}

func joinIDX(images, labels *idx, classes []string, split string) (Dataset, error) {
	if n, m := images.shape[0], labels.shape[0]; n != m {
		return nil, errors.Errorf("data: %d images in %s, but %d labels in %s", n, images.path, m, labels.path)
	}
	for i, y := range labels.values {
		if int(y) >= len(classes) {
			return nil, errors.Errorf("data: %s: label %d at %d, want 0 to %d", labels.path, y, i, len(classes)-1)
		}
	}
	return &packed{
		w: images.shape[2], h: images.shape[1], c: 1,
		pix: images.values, labels: labels.values, classes: classes, split: split,
	}, nil
}

// idx is the content of a file: unsigned bytes of any shape.
type idx struct {
	path   string
	shape  []int
	values []byte
}

func readIDXFile(dims int, names ...string) (*idx, error) {
	f, err := firstFile(names...)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	x, err := readIDX(f, dims)
	if err != nil {
		return nil, errors.WithMessagef(err, "data: %s", f.Name())
	}
	x.path = f.Name()
	return x, nil
}

// readIDX reads a file of unsigned bytes with the given number of axes: two
// zeros, 0x08 for the type, the number of axes, their sizes in four bytes each,
// big-endian, and the values, the last axis varying fastest.
func readIDX(r io.Reader, dims int) (*idx, error) {
	buffered := bufio.NewReader(r)
	r = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		r = z
	}
	head, err := readSome(r, 4)
	if err != nil {
		return nil, err
	}
	if magic, want := binary.BigEndian.Uint32(head), uint32(0x0800+dims); magic != want {
		return nil, errors.Errorf("not an IDX file of bytes with %d axes: magic number is 0x%08x, want 0x%08x", dims, magic, want)
	}
	sizes, err := readSome(r, int64(4*dims))
	if err != nil {
		return nil, err
	}
	x := &idx{shape: make([]int, dims)}
	size := uint64(1)
	for i := range x.shape {
		n := binary.BigEndian.Uint32(sizes[4*i:])
		if i > 0 && (n == 0 || n > maxIDXSide) {
			return nil, errors.Errorf("image side is %d pixels, want 1 to %d", n, maxIDXSide)
		}
		// At most 2³²·2¹⁴·2¹⁴: no overflow.
		size *= uint64(n)
		x.shape[i] = int(n)
	}
	if size > maxIDXBytes {
		return nil, errors.Errorf("shape %v needs %d bytes, more than the limit of %d", x.shape, size, int64(maxIDXBytes))
	}
	if x.values, err = readSome(r, int64(size)); err != nil {
		return nil, errors.WithMessagef(err, "shape %v", x.shape)
	}
	return x, atEnd(r)
}
