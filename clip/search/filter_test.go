package search

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	meta := map[string]any{"price": 9.5, "name": "shoe", "new": true, "tags": []any{"red", 7.0, []any{"deep"}}, "none": nil, "box": map[string]any{"w": 1.0}}
	for _, tt := range []struct {
		key   string
		op    Op
		value any
		want  bool
	}{
		{"price", Equal, 9.5, true},
		{"price", Equal, float32(9.5), true},
		{"price", Equal, "9.5", false},
		{"price", NotEqual, "9.5", true},
		{"price", Less, 10, true},
		{"price", Less, uint8(9), false},
		{"price", LessEqual, 9.5, true},
		{"price", Greater, json.Number("9.4"), true},
		{"price", GreaterEqual, 9.6, false},
		{"price", Less, "zzz", false},
		{"name", Less, "shop", true},
		{"name", Greater, "Shoe", true},
		{"name", Less, 3, false},
		{"name", Equal, "shoe", true},
		{"new", Equal, true, true},
		{"new", NotEqual, true, false},
		{"new", Equal, 1, false},
		{"tags", Equal, "red", true},
		{"tags", Equal, 7, true},
		{"tags", Equal, "deep", false},
		{"tags", NotEqual, "red", false},
		{"tags", NotEqual, "blue", true},
		{"tags", Less, "z", false},
		{"none", Exists, nil, true},
		{"none", Equal, "", false},
		{"none", NotEqual, "", true},
		{"box", Exists, nil, true},
		{"box", Equal, "w", false},
		{"gone", Exists, nil, false},
		{"gone", Equal, "x", false},
		{"gone", NotEqual, "x", true},
		{"gone", Less, 3, false},
	} {
		f := Filter{{tt.key, tt.op, tt.value}}
		if err := f.Validate(); err != nil {
			t.Errorf("%v: %v", f, err)
		}
		if got := f.Match(meta); got != tt.want {
			t.Errorf("%v matches: %v, want %v", f, got, tt.want)
		}
		stored := must(encodeMeta(meta))(t)
		if got := f.matchFields(must(decodeFields(stored))(t)); got != tt.want {
			t.Errorf("%v matches what is kept: %v, want %v", f, got, tt.want)
		}
		both := Filter{{"name", Equal, "shoe"}, f[0]}
		if got := both.Match(meta); got != tt.want {
			t.Errorf("%v matches: %v, want %v", both, got, tt.want)
		}
	}
	if !(Filter{}).Match(nil) {
		t.Error("an empty filter does not hold")
	}
}

func TestFilterRefused(t *testing.T) {
	for _, tt := range []struct {
		c    Condition
		want string
	}{
		{Condition{"", Equal, 1}, "condition 1 has no key"},
		{Condition{"a", "~", 1}, `condition a "~": unknown operation`},
		{Condition{"a", "", 1}, "unknown operation"},
		{Condition{"a", Equal, nil}, "the value is a <nil>, want a string, a number or a bool"},
		{Condition{"a", Equal, []any{1}}, "the value is a []interface {}"},
		{Condition{"a", Less, true}, "truth values have no order"},
		{Condition{"a", Less, math.NaN()}, "is not a number"},
		{Condition{"a", Equal, json.Number("x")}, "want a string, a number or a bool"},
		{Condition{"a", Exists, 1}, "takes no value, got 1"},
	} {
		if err := (Filter{tt.c}).Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: error %v, want %q", tt.c, err, tt.want)
		}
	}
}

// FuzzDecodeFields holds what filters see against the metadata itself.
func FuzzDecodeFields(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":1}`, `{"a":[1,"x",[2],{"b":null}],"b":null}`, `{"a":1}{}`, "null", "[1]", `{"a":1e999}`} {
		f.Add(s, "a", "x")
	}
	f.Fuzz(func(t *testing.T, s, key, value string) {
		meta, err := decodeMeta(s)
		fields, err2 := decodeFields(s)
		if (err == nil) != (err2 == nil) || err == nil && len(fields) != len(meta) {
			t.Fatalf("%d keys and %v, %d fields and %v", len(meta), err, len(fields), err2)
		}
		if err != nil {
			return
		}
		for _, op := range []Op{Equal, NotEqual, Less, GreaterEqual} {
			for _, v := range []any{value, 1.0} {
				c := Filter{{key, op, v}}
				if a, b := c.Match(meta), c.matchFields(fields); a != b {
					t.Fatalf("%v matches %s: %v, but its fields: %v", c, s, a, b)
				}
			}
		}
		again := must(encodeMeta(meta))(t)
		if m := must(decodeMeta(again))(t); len(m)+len(meta) > 0 && !reflect.DeepEqual(m, meta) {
			t.Fatalf("%s became %s", s, again)
		}
	})
}
