package torchfile

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// The instructions of pickle that dictionaries of tensors are written with
// (https://github.com/python/cpython/blob/main/Lib/pickletools.py).
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opBinFloat        = 'G'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opNone            = 'N'
	opBinPersID       = 'Q'
	opReduce          = 'R'
	opBinUnicode      = 'X'
	opEmptyList       = ']'
	opAppend          = 'a'
	opBuild           = 'b'
	opGlobal          = 'c'
	opAppends         = 'e'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opSetItem         = 's'
	opTuple           = 't'
	opSetItems        = 'u'
	opEmptyDict       = '}'
	opEmptyTuple      = ')'
	opProto           = 0x80
	opNewObj          = 0x81
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opLong1           = 0x8a
	opShortBinUnicode = 0x8c
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95
)

// What pickles are made of, beside nil, bool, int, float64 and string.
type (
	tuple []any
	list  struct{ items []any }
	dict  struct {
		keys   []any
		values []any
	}
	// object is an instance of a TorchScript class.
	object struct{ attributes *dict }
	// opaque is a value without tensors, such as a list of numbers that
	// TorchScript wraps.
	opaque struct{}
	// mark is where the items of a tuple, list or dictionary begin.
	mark struct{}
)

// machine executes a pickle.
type machine struct {
	in    []byte
	stack []any
	memo  map[uint32]any
	steps int
}

// unpickle gives the value of a pickle, and how many instructions made it.
func unpickle(in []byte) (any, int, error) {
	m := &machine{in: in, memo: map[uint32]any{}}
	size := len(in)
	for {
		at := size - len(m.in)
		code, err := m.take(1)
		if err == nil && code[0] == opStop {
			v, err := m.pop()
			return v, m.steps, err
		}
		if err == nil {
			m.steps++
			err = m.step(code[0])
		}
		if err != nil {
			return nil, 0, errors.Wrapf(err, "byte %d", at)
		}
	}
}

// take gives the next n bytes.
func (m *machine) take(n int) ([]byte, error) {
	if n < 0 || n > len(m.in) {
		return nil, errors.New("the pickle ends early")
	}
	b := m.in[:n]
	m.in = m.in[n:]
	return b, nil
}

// number takes a little-endian unsigned number of n bytes.
func (m *machine) number(n int) (uint32, error) {
	b, err := m.take(n)
	if err != nil {
		return 0, err
	}
	var word [4]byte
	copy(word[:], b)
	return binary.LittleEndian.Uint32(word[:]), nil
}

// line takes the bytes up to a newline.
func (m *machine) line() (string, error) {
	n := bytes.IndexByte(m.in, '\n')
	if n < 0 {
		return "", errors.New("the pickle ends early")
	}
	b, err := m.take(n + 1)
	return string(b[:n]), err
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, errors.New("the stack is empty")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	if _, ok := v.(mark); ok {
		return nil, errors.New("a mark where a value is wanted")
	}
	return v, nil
}

// top is the value that items are added to.
func (m *machine) top() (any, error) {
	v, err := m.pop()
	if err == nil {
		m.push(v)
	}
	return v, err
}

// items pops the n values on top, in order.
func (m *machine) items(n int) ([]any, error) {
	vs := make([]any, n)
	for i := n - 1; i >= 0; i-- {
		v, err := m.pop()
		if err != nil {
			return nil, err
		}
		vs[i] = v
	}
	return vs, nil
}

// marked pops the values after the last mark, and the mark.
func (m *machine) marked() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			vs := append([]any{}, m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return vs, nil
		}
	}
	return nil, errors.New("no mark")
}

// step executes an instruction.
func (m *machine) step(code byte) error {
	switch code {
	case opProto:
		v, err := m.number(1)
		if err == nil && (v < 2 || v > 5) {
			err = errors.Errorf("protocol %d, want 2 to 5", v)
		}
		return err
	case opFrame:
		_, err := m.take(8)
		return err
	case opMark:
		m.push(mark{})
		return nil
	case opPop:
		_, err := m.pop()
		return err
	case opNone, opNewTrue, opNewFalse, opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat, opBinUnicode, opShortBinUnicode:
		v, err := m.scalar(code)
		m.push(v)
		return err
	case opEmptyTuple, opTuple1, opTuple2, opTuple3, opTuple, opEmptyList, opEmptyDict:
		v, err := m.container(code)
		m.push(v)
		return err
	case opAppend, opAppends, opSetItem, opSetItems:
		return m.add(code)
	case opBinPut, opLongBinPut, opMemoize, opBinGet, opLongBinGet:
		return m.remember(code)
	}
	return m.construct(code)
}

// scalar reads a number or a string.
func (m *machine) scalar(code byte) (any, error) {
	switch code {
	case opNone:
		return nil, nil
	case opNewTrue, opNewFalse:
		return code == opNewTrue, nil
	case opBinInt:
		v, err := m.number(4)
		return int(int32(v)), err
	case opBinInt1:
		v, err := m.number(1)
		return int(v), err
	case opBinInt2:
		v, err := m.number(2)
		return int(v), err
	case opLong1:
		return m.long()
	case opBinFloat:
		b, err := m.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	}
	width := 4
	if code == opShortBinUnicode {
		width = 1
	}
	n, err := m.number(width)
	if err != nil {
		return nil, err
	}
	b, err := m.take(int(n))
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a string is not UTF-8")
	}
	return string(b), err
}

// long reads an integer of up to 8 bytes, in two's complement.
func (m *machine) long() (any, error) {
	n, err := m.number(1)
	if err != nil {
		return nil, err
	}
	b, err := m.take(int(n))
	if err != nil {
		return nil, err
	}
	if n > 8 {
		return nil, errors.Errorf("an integer of %d bytes, want at most 8", n)
	}
	var word [8]byte
	if n > 0 && b[n-1]&0x80 != 0 {
		binary.LittleEndian.PutUint64(word[:], math.MaxUint64)
	}
	copy(word[:], b)
	return int(int64(binary.LittleEndian.Uint64(word[:]))), nil
}

// container makes a tuple of values on the stack, or an empty list or
// dictionary.
func (m *machine) container(code byte) (any, error) {
	switch code {
	case opEmptyList:
		return &list{}, nil
	case opEmptyDict:
		return &dict{}, nil
	case opTuple:
		vs, err := m.marked()
		return tuple(vs), err
	case opEmptyTuple:
		return tuple{}, nil
	}
	vs, err := m.items(int(code) - opTuple1 + 1)
	return tuple(vs), err
}

// add adds items to a list or a dictionary.
func (m *machine) add(code byte) (err error) {
	var vs []any
	switch code {
	case opAppend:
		vs, err = m.items(1)
	case opSetItem:
		vs, err = m.items(2)
	default:
		vs, err = m.marked()
	}
	if err != nil {
		return err
	}
	to, err := m.top()
	if err != nil {
		return err
	}
	if code == opAppend || code == opAppends {
		l, ok := to.(*list)
		if !ok {
			return errors.Errorf("items are appended to a %T, want a list", to)
		}
		l.items = append(l.items, vs...)
		return nil
	}
	d, ok := to.(*dict)
	if !ok || len(vs)%2 != 0 {
		return errors.Errorf("%d keys and values for a %T, want pairs for a dictionary", len(vs), to)
	}
	for i := 0; i < len(vs); i += 2 {
		d.keys, d.values = append(d.keys, vs[i]), append(d.values, vs[i+1])
	}
	return nil
}

// remember stores the value on top in the memo, or pushes one stored there.
func (m *machine) remember(code byte) error {
	width := 1
	if code == opLongBinPut || code == opLongBinGet {
		width = 4
	}
	index := uint32(len(m.memo))
	if code != opMemoize {
		var err error
		if index, err = m.number(width); err != nil {
			return err
		}
	}
	if code == opBinGet || code == opLongBinGet {
		v, ok := m.memo[index]
		if !ok {
			return errors.Errorf("nothing is remembered as %d", index)
		}
		m.push(v)
		return nil
	}
	v, err := m.top()
	m.memo[index] = v
	return err
}
