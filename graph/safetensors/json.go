package safetensors

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// decoder reads JSON token by token: decoding into Go values would keep the
// last of two equal keys and take null for a zero.
type decoder struct {
	*json.Decoder
}

// parse calls field for each key of the one object that text holds.
func parse(text []byte, field func(d decoder, key string) error) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	// The token reader alone could be more lenient than the grammar.
	if err := json.Unmarshal(text, &struct{}{}); err != nil {
		return errors.Wrap(err, "not a JSON object")
	}
	d := decoder{json.NewDecoder(bytes.NewReader(text))}
	d.UseNumber()
	return d.object(func(key string) error { return field(d, key) })
}

// object calls field for each key of the object that comes next; field reads
// the value.
func (d decoder) object(field func(key string) error) error {
	if err := d.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.str()
		if err != nil {
			return err
		}
		if seen[key] {
			return errors.Errorf("repeated key %q", key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return errors.Wrapf(err, "%q", key)
		}
	}
	return d.delim('}')
}

// ints reads an array of integers that fit int and are not negative.
func (d decoder) ints() ([]int, error) {
	if err := d.delim('['); err != nil {
		return nil, err
	}
	list := []int{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, errors.Errorf("found %v, want an integer", t)
		}
		v, err := strconv.ParseInt(number.String(), 10, strconv.IntSize)
		if err != nil || v < 0 {
			return nil, errors.Errorf("found %s, want an integer from 0 to %d", number, math.MaxInt)
		}
		list = append(list, int(v))
	}
	return list, d.delim(']')
}

// str reads a string.
func (d decoder) str() (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", errors.Errorf("found %v, want a string", t)
	}
	return s, nil
}

// skip reads any value.
func (d decoder) skip() error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (d decoder) delim(want json.Delim) error {
	t, err := d.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if t != want {
		return errors.Errorf("found %v, want %v", t, want)
	}
	return nil
}
