package safetensors

import (
	"cmp"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// The format's own limit on the length of a header.
const maxHeader = 100_000_000 // bytes

// metadataKey is the header's only key that is not a tensor's name.
const metadataKey = "__metadata__"

// readHeader reads and checks the header of a file of the given size. The
// tensors come in the order of their data.
func readHeader(r io.ReaderAt, size int64) (tensors []Info, metadata map[string]string, err error) {
	if size < 8 {
		return nil, nil, errors.Errorf("file of %d bytes is too short for a header", size)
	}
	var prefix [8]byte
	if _, err := r.ReadAt(prefix[:], 0); err != nil {
		return nil, nil, errors.Wrap(err, "read length of header")
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > maxHeader {
		return nil, nil, errors.Errorf("header of %d bytes exceeds the limit of %d: not a safetensors file?", n, maxHeader)
	}
	if int64(n) > size-8 {
		return nil, nil, errors.Errorf("header of %d bytes exceeds the file of %d: truncated?", n, size)
	}
	text := make([]byte, n)
	if _, err := r.ReadAt(text, 8); err != nil {
		return nil, nil, errors.Wrap(err, "read header")
	}
	tensors, metadata, err = parseHeader(text)
	if err != nil {
		return nil, nil, errors.Wrap(err, "header")
	}
	start := 8 + int64(n)
	if err := checkLayout(tensors, size-start); err != nil {
		return nil, nil, err
	}
	for i, t := range tensors {
		tensors[i].data = io.NewSectionReader(r, start+int64(t.begin), int64(t.end-t.begin))
	}
	return tensors, metadata, nil
}

func parseHeader(text []byte) (tensors []Info, metadata map[string]string, err error) {
	if len(text) > 0 && text[0] != '{' {
		return nil, nil, errors.Errorf("begins with %q, want '{'", text[0])
	}
	metadata = map[string]string{}
	err = parse(text, func(d decoder, name string) error {
		if name == metadataKey {
			return d.object(func(key string) (err error) {
				metadata[key], err = d.str()
				return err
			})
		}
		t, err := parseTensor(d)
		t.Name = name
		tensors = append(tensors, t)
		return err
	})
	return tensors, metadata, err
}

func parseTensor(d decoder) (t Info, err error) {
	var dtype, shape, offsets bool
	err = d.object(func(key string) error {
		switch key {
		case "dtype":
			dtype = true
			s, err := d.str()
			t.Dtype = Dtype(s)
			if err == nil && t.Dtype.Bits() == 0 {
				err = errors.Errorf("unknown dtype %q", s)
			}
			return err
		case "shape":
			shape = true
			t.Shape, err = d.ints()
			return err
		case "data_offsets":
			offsets = true
			o, err := d.ints()
			if err == nil && (len(o) != 2 || o[0] > o[1]) {
				err = errors.Errorf("found %v, want begin ≤ end", o)
			}
			if err == nil {
				t.begin, t.end = o[0], o[1]
			}
			return err
		}
		return errors.New("unknown key")
	})
	if err == nil && !(dtype && shape && offsets) {
		err = errors.New("want dtype, shape and data_offsets")
	}
	return t, err
}

// checkLayout sorts tensors by offset. Each must have the bytes its shape
// needs, and together they must cover the size bytes of data without overlap.
func checkLayout(tensors []Info, size int64) error {
	slices.SortFunc(tensors, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.Name, b.Name))
	})
	end := 0
	for _, t := range tensors {
		want, err := byteSize(t.Shape, t.Dtype)
		switch {
		case err != nil:
			return errors.Wrapf(err, "tensor %q", t.Name)
		case t.end-t.begin != want:
			return errors.Errorf("tensor %q: shape %s of %s needs %d bytes, data_offsets span %d", t.Name, tuple(t.Shape), t.Dtype, want, t.end-t.begin)
		case int64(t.end) > size:
			return errors.Errorf("tensor %q ends at byte %d of %d bytes of data: truncated?", t.Name, t.end, size)
		case t.begin < end:
			return errors.Errorf("tensor %q begins at byte %d, inside another that ends at %d", t.Name, t.begin, end)
		case t.begin > end:
			return errors.Errorf("tensor %q begins at byte %d, after a hole from %d", t.Name, t.begin, end)
		}
		end = t.end
	}
	if int64(end) != size {
		return errors.Errorf("tensors end at byte %d of %d bytes of data", end, size)
	}
	return nil
}

// byteSize is the length of a tensor's data. Zero dimensions do not excuse
// others whose product overflows.
func byteSize(shape []int, d Dtype) (int, error) {
	n, empty := 1, false
	for _, s := range shape {
		if s < 0 {
			return 0, errors.Errorf("shape %s has a negative dimension", tuple(shape))
		}
		if s == 0 {
			empty = true
			continue
		}
		if n > math.MaxInt/64/s {
			return 0, errors.Errorf("shape %s overflows", tuple(shape))
		}
		n *= s
	}
	if empty {
		return 0, nil
	}
	bits := n * d.Bits()
	if bits%8 != 0 {
		return 0, errors.Errorf("shape %s of %s does not fill whole bytes", tuple(shape), d)
	}
	return bits / 8, nil
}

// tuple formats a shape as (2, 3).
func tuple(shape []int) string {
	text := make([]string, len(shape))
	for i, s := range shape {
		text[i] = strconv.Itoa(s)
	}
	return "(" + strings.Join(text, ", ") + ")"
}
