package npz

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// header is what precedes the data of a .npy array.
type header struct {
	descr   string            // NumPy's name of the type
	dtype   safetensors.Dtype // "" if there is no conversion
	fortran bool              // column-major
	shape   []int
}

const magic = "\x93NUMPY"

// The first and the last are NumPy's own limits. Together they bound what the
// many headers of a small archive can occupy.
const (
	maxHeader = 10_000 // bytes
	maxDescr  = 32     // bytes
	maxRank   = 64
)

// readHeader reads a header and tells its length in bytes.
func readHeader(r io.Reader) (h header, n int, err error) {
	var b [12]byte // magic, version, length of 2 or 4 bytes
	if _, err := io.ReadFull(r, b[:10]); err != nil {
		return h, 0, errors.Wrap(err, "npy header")
	}
	if string(b[:6]) != magic {
		return h, 0, errors.Errorf("npy header begins with %q, want %q", b[:6], magic)
	}
	n = 10
	size := uint32(binary.LittleEndian.Uint16(b[8:]))
	switch b[6] {
	case 1:
	case 2, 3:
		if _, err := io.ReadFull(r, b[10:]); err != nil {
			return h, 0, errors.Wrap(err, "npy header")
		}
		n = 12
		size = binary.LittleEndian.Uint32(b[8:])
	default:
		return h, 0, errors.Errorf("npy version %d.%d, want 1 to 3", b[6], b[7])
	}
	if size > maxHeader {
		return h, 0, errors.Errorf("npy header of %d bytes exceeds the limit of %d", size, maxHeader)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, 0, errors.Wrap(err, "npy header")
	}
	h, err = parseHeader(string(text))
	return h, n + len(text), errors.Wrapf(err, "npy header %.200q", text)
}

// size is the number of elements.
func (h header) size() int {
	n := 1
	for _, s := range h.shape {
		n *= s
	}
	return n
}

// dtypeOf translates NumPy's name of a type, "" if there is no conversion.
func dtypeOf(descr string) safetensors.Dtype {
	switch descr {
	case "|b1":
		return safetensors.BOOL
	case "|u1":
		return safetensors.U8
	case "|i1":
		return safetensors.I8
	case "<u2":
		return safetensors.U16
	case "<i2":
		return safetensors.I16
	case "<u4":
		return safetensors.U32
	case "<i4":
		return safetensors.I32
	case "<u8":
		return safetensors.U64
	case "<i8":
		return safetensors.I64
	case "<f2":
		return safetensors.F16
	case "<f4":
		return safetensors.F32
	case "<f8":
		return safetensors.F64
	case "|V2", "<V2":
		// NumPy lacks bfloat16: JAX's arrays of it are saved as 2 opaque bytes.
		return safetensors.BF16
	}
	return ""
}

// parseHeader reads the literal of a Python dictionary such as
//
//	{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
func parseHeader(text string) (h header, err error) {
	p := parser{rest: text}
	var descr, order, shape bool
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		key := p.str()
		p.expect(":")
		switch {
		case key == "descr" && !descr:
			descr = true
			h.descr = strings.Clone(p.str()) // not to keep all of text
			if len(h.descr) > maxDescr {
				p.fail("type %.40q is no simple one", h.descr)
			}
			h.dtype = dtypeOf(h.descr)
		case key == "fortran_order" && !order:
			order = true
			h.fortran = p.accept("True")
			if !h.fortran {
				p.expect("False")
			}
		case key == "shape" && !shape:
			shape = true
			h.shape = p.tuple()
		default:
			p.fail("unknown or repeated key %q", key)
		}
		if !p.accept(",") && !strings.HasPrefix(p.rest, "}") {
			p.fail("found %.10q, want , or }", p.rest)
		}
	}
	if p.space(); p.rest != "" {
		p.fail("found %.10q after the end", p.rest)
	}
	if !(descr && order && shape) {
		p.fail("want descr, fortran_order and shape")
	}
	return h, p.err
}

// parser consumes rest until the first error.
type parser struct {
	rest string
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = errors.Errorf(format, args...)
	}
}

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \n") }

// accept consumes token if it comes next.
func (p *parser) accept(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok = ok && p.err == nil; ok {
		p.rest = rest
		p.space()
	}
	return ok
}

func (p *parser) expect(token string) {
	if !p.accept(token) {
		p.fail("found %.10q, want %s", p.rest, token)
	}
}

// str reads a string in single or double quotes. No name of a key or a simple
// type needs escapes.
func (p *parser) str() string {
	for _, quote := range []string{"'", `"`} {
		if p.accept(quote) {
			s, rest, ok := strings.Cut(p.rest, quote)
			if !ok || strings.Contains(s, `\`) {
				p.fail("found %.10q, want a plain string", s)
			}
			p.rest = rest
			return s
		}
	}
	p.fail("found %.10q, want a string", p.rest)
	return ""
}

// tuple reads a shape. Zero dimensions do not excuse others whose product
// overflows; the factor of 8 leaves room for the size in bytes.
func (p *parser) tuple() []int {
	shape, product := []int{}, 8
	p.expect("(")
	for p.err == nil && !p.accept(")") {
		end := strings.IndexAny(p.rest, ",) ")
		v, err := strconv.Atoi(p.rest[:max(end, 0)])
		switch {
		case err != nil || v < 0:
			p.fail("found %.10q, want a size", p.rest)
			return nil
		case len(shape) == maxRank:
			p.fail("more than %d dimensions", maxRank)
			return nil
		case v > 0 && product > math.MaxInt/v:
			p.fail("shape overflows")
			return nil
		}
		product *= max(v, 1)
		shape = append(shape, v)
		p.rest = p.rest[end:]
		if !p.accept(",") && !strings.HasPrefix(p.rest, ")") {
			p.fail("found %.10q, want , or )", p.rest)
		}
	}
	return shape
}
