package search

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/pkg/errors"
)

// Validate checks keys, operations and values.
func (f Filter) Validate() error {
	for i, c := range f {
		if c.Key == "" {
			return errors.Errorf("search: condition %d has no key", i+1)
		}
		value := plain(c.Value)
		switch c.Op {
		case Exists:
			if c.Value != nil {
				return errors.Errorf("search: condition %s %s takes no value, got %v", c.Key, c.Op, c.Value)
			}
			continue
		case Equal, NotEqual:
		case Less, LessEqual, Greater, GreaterEqual:
			if _, ok := value.(bool); ok {
				return errors.Errorf("search: condition %s %s %v: truth values have no order", c.Key, c.Op, c.Value)
			}
		default:
			return errors.Errorf("search: condition %s %q: unknown operation, want one of = != < <= > >= exists", c.Key, c.Op)
		}
		switch v := value.(type) {
		case string, bool:
		case float64:
			if math.IsNaN(v) {
				return errors.Errorf("search: condition %s %s: the value is not a number", c.Key, c.Op)
			}
		default:
			return errors.Errorf("search: condition %s %s %v: the value is a %T, want a string, a number or a bool", c.Key, c.Op, c.Value, c.Value)
		}
	}
	return nil
}

// Match tells whether metadata passes a valid filter.
func (f Filter) Match(meta map[string]any) bool {
	for _, c := range f {
		got, ok := meta[c.Key]
		if !c.holds(got, ok) {
			return false
		}
	}
	return true
}

func (c Condition) holds(got any, exists bool) bool {
	switch c.Op {
	case Exists:
		return exists
	case Equal:
		return exists && equal(got, plain(c.Value))
	case NotEqual:
		return !exists || !equal(got, plain(c.Value))
	}
	if !exists {
		return false
	}
	order, ok := 0, false
	switch a := plain(got).(type) {
	case float64:
		if b, same := plain(c.Value).(float64); same {
			order, ok = compareNumbers(a, b), true
		}
	case string:
		if b, same := plain(c.Value).(string); same {
			order, ok = strings.Compare(a, b), true
		}
	}
	if !ok {
		return false
	}
	switch c.Op {
	case Less:
		return order < 0
	case LessEqual:
		return order <= 0
	case Greater:
		return order > 0
	case GreaterEqual:
		return order >= 0
	}
	return false
}

func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// equal compares got, or one of its elements, with a plain value.
func equal(got, want any) bool {
	switch g := plain(got).(type) {
	case string, float64, bool:
		return g == want
	case []any:
		return slices.ContainsFunc(g, func(e any) bool {
			e = plain(e)
			_, list := e.([]any)
			return !list && equal(e, want)
		})
	case []string:
		s, ok := want.(string)
		return ok && slices.Contains(g, s)
	}
	return false
}

// plain turns Go's numbers into the one of JSON.
func plain(v any) any {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int8:
		return float64(v)
	case int16:
		return float64(v)
	case int32:
		return float64(v)
	case int64:
		return float64(v)
	case uint:
		return float64(v)
	case uint8:
		return float64(v)
	case uint16:
		return float64(v)
	case uint32:
		return float64(v)
	case uint64:
		return float64(v)
	case float32:
		return float64(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil
		}
		return f
	}
	return v
}

// A field is one key of an item's metadata, kept in memory for filters.
type field struct {
	key   string
	value any // float64, string, bool, []any of these, or nil for the rest
}

func (f Filter) matchFields(fields []field) bool {
	for _, c := range f {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == c.Key })
		if i < 0 && !c.holds(nil, false) || i >= 0 && !c.holds(fields[i].value, true) {
			return false
		}
	}
	return true
}

// encodeMeta gives metadata as it is stored, "" for none.
func encodeMeta(meta map[string]any) (string, error) {
	if len(meta) == 0 {
		return "", nil
	}
	b, err := json.Marshal(meta)
	return string(b), errors.WithStack(err)
}

func decodeMeta(s string) (map[string]any, error) {
	if s == "" {
		return nil, nil
	}
	d := json.NewDecoder(strings.NewReader(s))
	var meta map[string]any
	if err := d.Decode(&meta); err != nil {
		return nil, errors.Wrap(err, "metadata")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("metadata: more follows the JSON object")
	}
	return meta, nil
}

// decodeFields is decodeMeta for filters: equal strings share their memory.
func decodeFields(s string) ([]field, error) {
	meta, err := decodeMeta(s)
	if err != nil || len(meta) == 0 {
		return nil, err
	}
	fields := make([]field, 0, len(meta))
	for k, v := range meta {
		fields = append(fields, field{unique.Make(k).Value(), shared(v)})
	}
	return fields, nil
}

func shared(v any) any {
	switch v := v.(type) {
	case string:
		return unique.Make[any](v).Value()
	case float64, bool:
		return v
	case []any:
		for i, e := range v {
			if _, list := e.([]any); list {
				v[i] = nil
			} else {
				v[i] = shared(e)
			}
		}
		return v
	}
	return nil
}
