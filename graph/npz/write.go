package npz

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// Array is an array to be written.
type Array struct {
	Name  string // without .npy
	Shape []int
	Data  []float32 // in row-major order
}

// Write writes arrays, uncompressed and in the given order, to an archive at
// path, whole or not at all. Names must be unique, and data must be as long as
// its shape says.
func Write(path string, arrays []Array) error {
	return errors.Wrap(safetensors.WriteAtomic(path, func(w io.Writer) error {
		return encode(w, arrays)
	}), "npz")
}

func encode(w io.Writer, arrays []Array) error {
	z := zip.NewWriter(w)
	seen := map[string]bool{}
	for _, a := range arrays {
		if seen[a.Name] {
			return errors.Errorf("repeated array %q", a.Name)
		}
		seen[a.Name] = true
		// No time of modification: equal arrays give equal bytes.
		entry, err := z.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err != nil {
			return err
		}
		if err := encodeArray(entry, a); err != nil {
			return errors.Wrapf(err, "array %q", a.Name)
		}
	}
	return z.Close()
}

func encodeArray(w io.Writer, a Array) error {
	var tuple strings.Builder
	for _, s := range a.Shape {
		tuple.WriteString(strconv.Itoa(s) + ", ") // (3, ) as Python's (3,)
	}
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", tuple.String())
	h, err := parseHeader(text)
	if err != nil {
		return err
	}
	if h.size() != len(a.Data) {
		return errors.Errorf("%d elements for shape %v", len(a.Data), a.Shape)
	}
	// The format asks for a newline at the end and data aligned to 64 bytes.
	text += strings.Repeat(" ", 63-(len(magic)+4+len(text))%64) + "\n"
	if len(text) > maxHeader {
		return errors.Errorf("header of %d bytes exceeds the limit of %d", len(text), maxHeader)
	}
	b := append([]byte(magic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	if _, err := w.Write(append(b, text...)); err != nil {
		return err
	}
	for chunk := range slices.Chunk(a.Data, 1<<13) {
		b = b[:0]
		for _, v := range chunk {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
