package weaviate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pkg/errors"

	"tessera/clip/search"
)

// Metadata is any JSON, so it has no schema. An object is marked with a hash of
// each key and of each key with its value, or each element of a list. Marks
// answer Equal, NotEqual and Exists on the server; the comparisons by order are
// made here, among the items that pass the rest.

const (
	hasImage = "image"
	hasText  = "text"
)

// mark is the hash of a key, or of a key and a value.
func mark(parts ...any) (string, error) {
	b, err := json.Marshal(parts)
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16]), errors.WithStack(err)
}

// metadata gives an item's metadata as JSON and its marks.
func metadata(it search.Item) (string, []string, error) {
	var marks []string
	if it.ImageVector != nil {
		marks = append(marks, hasImage)
	}
	if it.TextVector != nil {
		marks = append(marks, hasText)
	}
	if len(it.Meta) == 0 {
		return "", marks, nil
	}
	b, err := json.Marshal(it.Meta)
	if err != nil {
		return "", nil, errors.Wrapf(err, "weaviate: item %q: metadata", it.ID)
	}
	var meta map[string]any // of JSON's types alone
	if err := json.Unmarshal(b, &meta); err != nil {
		return "", nil, errors.Wrapf(err, "weaviate: item %q: metadata", it.ID)
	}
	add := func(parts ...any) {
		m, e := mark(parts...)
		if e != nil && err == nil {
			err = e
		}
		marks = append(marks, m)
	}
	for k, v := range meta {
		add(k)
		values, list := v.([]any)
		if !list {
			values = []any{v}
		}
		for _, v := range values {
			switch v := v.(type) {
			case string, bool:
				add(k, v)
			case float64:
				add(k, v+0) // no -0
			}
		}
	}
	return string(b), marks, err
}

// where gives the conditions that marks can answer, in GraphQL and "" for none,
// and the others.
func where(f search.Filter) (string, search.Filter, error) {
	var on []string
	var rest search.Filter
	for _, c := range f {
		operator, parts := "ContainsAny", []any{c.Key, c.Value}
		switch c.Op {
		case search.Equal:
		case search.NotEqual:
			operator = "ContainsNone"
		case search.Exists:
			parts = parts[:1]
		default:
			rest = append(rest, c)
			continue
		}
		// Numbers of all types look alike once they went through JSON.
		b, err := json.Marshal(parts)
		if err == nil {
			err = json.Unmarshal(b, &parts)
		}
		if err != nil {
			return "", nil, errors.Wrapf(err, "weaviate: condition %s %s", c.Key, c.Op)
		}
		for i, p := range parts {
			if v, ok := p.(float64); ok {
				parts[i] = v + 0
			}
		}
		m, err := mark(parts...)
		if err != nil {
			return "", nil, err
		}
		on = append(on, marked(operator, m))
	}
	switch len(on) {
	case 0:
		return "", rest, nil
	case 1:
		return on[0], rest, nil
	}
	return fmt.Sprintf("{operator: And, operands: [%s]}", strings.Join(on, ", ")), rest, nil
}

// marked is a condition on marks.
func marked(operator, mark string) string {
	return fmt.Sprintf(`{path: ["marks"], operator: %s, valueText: ["%s"]}`, operator, mark)
}
