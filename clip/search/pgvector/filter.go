package pgvector

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/pkg/errors"

	"tessera/clip/search"
)

// args are the parameters of a statement. Values reach the server only so.
type args []any

// add gives the placeholder of a value.
func (a *args) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// vector gives the placeholder of a vector.
func (a *args) vector(v []float32) string { return a.add(v) + "::real[]::vector" }

// where gives a filter as a condition on the column meta.
func where(f search.Filter, a *args) (string, error) {
	on := "true"
	for _, c := range f {
		s, err := condition(c, a)
		if err != nil {
			return "", err
		}
		on += " AND " + s
	}
	return on, nil
}

func condition(c search.Condition, a *args) (string, error) {
	key := a.add(c.Key) + "::text"
	if c.Op == search.Exists {
		return "meta ? " + key, nil
	}
	raw, err := json.Marshal(c.Value)
	var value any // of JSON's types alone
	if err == nil {
		err = json.Unmarshal(raw, &value)
	}
	if err != nil {
		return "", errors.Wrapf(err, "pgvector: condition %s %s", c.Key, c.Op)
	}
	switch c.Op {
	case search.Equal, search.NotEqual:
		v := a.add(string(raw)) + "::text::jsonb"
		s := fmt.Sprintf("coalesce(CASE jsonb_typeof(meta -> %[1]s) WHEN 'array' THEN meta -> %[1]s @> %[2]s ELSE meta -> %[1]s = %[2]s END, false)", key, v)
		if c.Op == search.NotEqual {
			s = "NOT " + s
		}
		return s, nil
	case search.Less, search.LessEqual, search.Greater, search.GreaterEqual: // SQL's own signs
	default:
		return "", errors.Errorf("pgvector: condition %s %s: unknown operation", c.Key, c.Op)
	}
	// CASE keeps values of other types from being converted.
	switch v := value.(type) {
	case float64:
		return fmt.Sprintf("coalesce(CASE jsonb_typeof(meta -> %[1]s) WHEN 'number' THEN (meta ->> %[1]s)::numeric %[2]s %[3]s::text::numeric END, false)",
			key, c.Op, a.add(string(raw))), nil
	case string:
		return fmt.Sprintf(`coalesce(CASE jsonb_typeof(meta -> %[1]s) WHEN 'string' THEN (meta ->> %[1]s) COLLATE "C" %[2]s %[3]s::text END, false)`,
			key, c.Op, a.add(v)), nil
	}
	return "", errors.Errorf("pgvector: condition %s %s %v: the value is a %T, want a string or a number", c.Key, c.Op, value, value)
}
