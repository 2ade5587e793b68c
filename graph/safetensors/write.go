package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// Tensor is a tensor to be written.
type Tensor struct {
	Name  string
	Shape []int
	Data  any // []float32, []float64 or []int64, in row-major order
}

// Write writes tensors and metadata, which may be nil, to a safetensors file
// at path, whole or not at all (see WriteAtomic). Like the reference
// implementation it stores int64 before float64 before float32, each by name,
// so the order of tensors does not matter. Names must be unique, and data must
// be as long as its shape says.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	return errors.Wrap(WriteAtomic(path, func(w io.Writer) error {
		return encode(w, tensors, metadata)
	}), "safetensors")
}

// entry is a tensor's place in the header, with keys in the order of the
// reference implementation.
type entry struct {
	Dtype   Dtype  `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

func encode(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	tensors = slices.Clone(tensors)
	slices.SortStableFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(rank(a.Data), rank(b.Data)), cmp.Compare(a.Name, b.Name))
	})
	header, err := encodeHeader(tensors, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		if err := writeData(w, t.Data); err != nil {
			return errors.Wrapf(err, "tensor %q", t.Name)
		}
	}
	return nil
}

// encodeHeader gives the length and the header, which spaces fill up so that
// the data is aligned to 8 bytes.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 8))
	b.WriteByte('{')
	if len(metadata) > 0 {
		for key, value := range metadata {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				return nil, errors.Errorf("metadata %q: %q is not UTF-8", key, value)
			}
		}
		if err := member(b, metadataKey, metadata); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	end := 0
	for _, t := range tensors {
		begin := end
		dtype, n := describe(t.Data)
		size, err := byteSize(t.Shape, F64)
		switch {
		case seen[t.Name]:
			err = errors.New("repeated name")
		case t.Name == metadataKey:
			err = errors.New("reserved name")
		case !utf8.ValidString(t.Name):
			err = errors.New("name is not UTF-8")
		case dtype == "":
			err = errors.Errorf("data of type %T, want []float32, []float64 or []int64", t.Data)
		case err == nil && size/8 != n:
			err = errors.Errorf("%d elements for shape %s", n, tuple(t.Shape))
		}
		if err != nil {
			return nil, errors.Wrapf(err, "tensor %q", t.Name)
		}
		seen[t.Name] = true
		end += n * dtype.Bits() / 8
		shape := append([]int{}, t.Shape...) // nil would become null
		if err := member(b, t.Name, entry{dtype, shape, [2]int{begin, end}}); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	header := b.Bytes()
	if n := len(header) - 8; n > maxHeader {
		return nil, errors.Errorf("header of %d bytes exceeds the limit of %d", n, maxHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// member appends a key and a value to the object in b.
func member(b *bytes.Buffer, key string, value any) error {
	if b.Bytes()[b.Len()-1] != '{' {
		b.WriteByte(',')
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(key); err != nil {
		return err
	}
	b.Bytes()[b.Len()-1] = ':' // for Encode's newline
	err := e.Encode(value)
	b.Truncate(b.Len() - 1)
	return err
}

// describe gives the type under which data is stored, "" if there is none, and
// the number of its elements.
func describe(data any) (Dtype, int) {
	switch data := data.(type) {
	case []float32:
		return F32, len(data)
	case []float64:
		return F64, len(data)
	case []int64:
		return I64, len(data)
	}
	return "", 0
}

// rank orders types by descending alignment, in the reference's order.
func rank(data any) int {
	d, _ := describe(data)
	return slices.Index([]Dtype{I64, F64, F32}, d)
}

func writeData(w io.Writer, data any) error {
	le := binary.LittleEndian
	switch data := data.(type) {
	case []float32:
		return writeChunks(w, data, func(b []byte, v float32) []byte { return le.AppendUint32(b, math.Float32bits(v)) })
	case []float64:
		return writeChunks(w, data, func(b []byte, v float64) []byte { return le.AppendUint64(b, math.Float64bits(v)) })
	case []int64:
		return writeChunks(w, data, func(b []byte, v int64) []byte { return le.AppendUint64(b, uint64(v)) })
	}
	return nil
}

// writeChunks streams data, so that no second copy of a tensor is made.
func writeChunks[T any](w io.Writer, data []T, put func([]byte, T) []byte) error {
	var buffer []byte
	for chunk := range slices.Chunk(data, 1<<13) {
		buffer = buffer[:0]
		for _, v := range chunk {
			buffer = put(buffer, v)
		}
		if _, err := w.Write(buffer); err != nil {
			return err
		}
	}
	return nil
}
