package npz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// ReadArray reads a .npy file, one array outside of an archive, with the
// conversions of File.Float32.
func ReadArray(path string) (shape []int, values []float32, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, errors.Wrap(err, "npz")
	}
	shape, values, err = parseArray(text)
	return shape, values, errors.Wrapf(err, "npz: %s", path)
}

func parseArray(text []byte) (shape []int, values []float32, err error) {
	h, start, err := readHeader(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	if h.dtype == "" {
		return nil, nil, errors.Errorf("no conversion from type %q to float32", h.descr)
	}
	if want := uint64(h.size()) * uint64(h.dtype.Bits()/8); want != uint64(len(text)-start) {
		return nil, nil, errors.Errorf("shape %v of %q needs %d bytes, there are %d", h.shape, h.descr, want, len(text)-start)
	}
	values = make([]float32, h.size())
	if err := safetensors.DecodeFloat(values, h.dtype, text[start:]); err != nil {
		return nil, nil, err
	}
	if h.fortran {
		values = rowMajor(values, h.shape)
	}
	return h.shape, values, nil
}

// WriteInts writes a .npy file of 32-bit integers in row-major order, whole or
// not at all. data must be as long as its shape says.
func WriteInts(path string, shape []int, data []int32) error {
	return errors.Wrap(safetensors.WriteAtomic(path, func(w io.Writer) error {
		var tuple strings.Builder
		size := 1
		for _, s := range shape {
			tuple.WriteString(strconv.Itoa(s) + ", ")
			size *= s
		}
		if size != len(data) {
			return errors.Errorf("%d elements for shape %v", len(data), shape)
		}
		text := fmt.Sprintf("{'descr': '<i4', 'fortran_order': False, 'shape': (%s), }", tuple.String())
		text += strings.Repeat(" ", 63-(len(magic)+4+len(text))%64) + "\n"
		b := append([]byte(magic), 1, 0)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
		for _, v := range data {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		_, err := w.Write(b)
		return err
	}), "npz")
}
