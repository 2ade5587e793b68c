package bpe

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// compose returns s in Unicode's form NFC.
func compose(s string) string {
	if norm.NFC.IsNormalString(s) {
		return s
	}
	const joiner = "\u034F"
	composed := norm.NFC.String(s)
	if strings.Count(composed, joiner) == strings.Count(s, joiner) {
		return composed
	}
	// The library breaks runs of more than 30 marks with joiners, so as to work
	// in bounded memory. Python and Rust don't.
	return composeMarks(s)
}

// A ranked rune is one with its canonical combining class: 0 for a starter.
type ranked struct {
	r     rune
	class uint8
}

// composeMarks is compose for runs of marks of any length, by The Unicode
// Standard, section 3.11.
func composeMarks(s string) string {
	var runes []ranked
	marks := 0 // where the last run of marks begins
	order := func() {
		slices.SortStableFunc(runes[marks:], func(a, b ranked) int { return int(a.class) - int(b.class) })
	}
	for _, r := range s {
		for _, d := range norm.NFD.String(string(r)) {
			class := norm.NFD.PropertiesString(string(d)).CCC()
			if class == 0 {
				order()
				marks = len(runes) + 1
			}
			runes = append(runes, ranked{d, class})
		}
	}
	order()

	var out []rune
	starter, previous := -1, uint8(0)
	for _, c := range runes {
		if starter >= 0 && (starter == len(out)-1 || previous < c.class) {
			if joined := []rune(norm.NFC.String(string([]rune{out[starter], c.r}))); len(joined) == 1 {
				out[starter] = joined[0]
				continue
			}
		}
		if c.class == 0 {
			starter = len(out)
		}
		previous = c.class
		out = append(out, c.r)
	}
	return string(out)
}
