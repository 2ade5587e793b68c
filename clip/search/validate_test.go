package search

import (
	"math"
	"strings"
	"testing"
)

func TestItemValidate(t *testing.T) {
	unit := []float32{0, 0.6, 0.8}
	for _, tt := range []struct {
		name string
		it   Item
		want string // "" for no error
	}{
		{"image", Item{ID: "a", ImageVector: unit}, ""},
		{"text", Item{ID: "a", TextVector: unit}, ""},
		{"nearly unit", Item{ID: "a", TextVector: []float32{0, 0.6004, 0.8}}, ""},
		{"no ID", Item{ImageVector: unit}, "without an ID"},
		{"long ID", Item{ID: strings.Repeat("x", 1025), ImageVector: unit}, "1025 bytes, want at most 1024"},
		{"no vector", Item{ID: "a", Text: "x"}, `item "a" has neither`},
		{"short", Item{ID: "a", ImageVector: unit[:2]}, `item "a": image vector: has 2 elements, the index holds vectors of 3`},
		{"empty", Item{ID: "a", ImageVector: []float32{}}, "has 0 elements"},
		{"long", Item{ID: "a", TextVector: []float32{2, 0, 0}}, "text vector: has length 2, want 1"},
		{"zero", Item{ID: "a", TextVector: make([]float32, 3)}, "has length 0, want 1"},
		{"NaN", Item{ID: "a", TextVector: []float32{0, 1, float32(math.NaN())}}, "not finite"},
		{"infinite", Item{ID: "a", TextVector: []float32{0, 1, float32(math.Inf(-1))}}, "not finite"},
		{"not UTF-8", Item{ID: "a\xff", TextVector: unit}, `ID "a\xff" is not UTF-8`},
		{"zero byte", Item{ID: "a", Text: "b\x00c", TextVector: unit}, `text "b\x00c" is not UTF-8 without zeros`},
	} {
		checkError(t, tt.name, tt.it.Validate(3), tt.want)
	}
}

func TestQueryValidate(t *testing.T) {
	x, y := []float32{1, 0}, []float32{0, 1}
	nan := math.NaN()
	for _, tt := range []struct {
		name string
		q    Query
		want string
	}{
		{"one", Query{Terms: []Term{{x, Images, 1}}, K: 1}, ""},
		{"two", Query{Terms: []Term{{x, Images, 1e300}, {y, Texts, -1e300}}, K: 5, In: Texts, Fusion: Reciprocal}, ""},
		{"nothing", Query{K: 1}, "without terms"},
		{"no hits", Query{Terms: []Term{{x, Images, 1}}}, "for 0 hits, want at least 1"},
		{"modality", Query{Terms: []Term{{x, Images, 1}}, K: 1, In: "sound"}, `in "sound", want "image", "text"`},
		{"fusion", Query{Terms: []Term{{x, Images, 1}}, K: 1, Fusion: "best"}, `fusion "best", want "raw"`},
		{"kind", Query{Terms: []Term{{x, "", 1}}, K: 1}, `term 1 is of kind "", want "image" or "text"`},
		{"weight", Query{Terms: []Term{{x, Texts, 1}, {x, Texts, 0}}, K: 1}, "term 2 has weight 0"},
		{"infinite", Query{Terms: []Term{{x, Texts, math.Inf(1)}}, K: 1}, "weight +Inf"},
		{"width", Query{Terms: []Term{{x[:1], Texts, 1}}, K: 1}, "term 1: has 1 elements, the index holds vectors of 2"},
		{"cancel", Query{Terms: []Term{{x, Texts, 2}, {x, Images, -2}}, K: 1}, "cancel each other"},
		{"score", Query{Terms: []Term{{x, Texts, 1}}, K: 1, MinScore: &nan}, "least score is not a number"},
		{"filter", Query{Terms: []Term{{x, Texts, 1}}, K: 1, Filter: Filter{{}}}, "condition 1 has no key"},
	} {
		checkError(t, tt.name, tt.q.Validate(2), tt.want)
	}
}

func TestQueryVector(t *testing.T) {
	q := Query{Terms: []Term{{[]float32{1, 0}, Images, 3}, {[]float32{0, 1}, Texts, -4}}}
	v := must(q.Vector())(t)
	if math.Abs(float64(v[0])-0.6) > 1e-7 || math.Abs(float64(v[1])+0.8) > 1e-7 {
		t.Errorf("sum %v, want (0.6, −0.8)", v)
	}
}

func checkError(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" && err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: error %v, want %q", name, err, want)
	}
}
