package bpe

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxRepairs bounds the rounds of repair, each of which may uncover more: text
// escaped more often than this stays escaped.
const maxRepairs = 32

// repair is what ftfy.fix_text does to a text, all but one of its steps: text
// that was decoded by the wrong table ("Ã©" for "é") stays as it is, for ftfy
// tells it by statistics that change with its versions. Line by line and until
// nothing changes: entities are resolved (none from the first line with a "<"
// on), C1 controls read as Windows-1252, Latin ligatures and digraphs spelled
// out, fullwidth and halfwidth forms replaced by plain ones, quotes
// straightened, line breaks made \n, terminal colours and control characters
// dropped, and the rest composed (NFC).
func repair(s string) string {
	if plain(s) {
		return s
	}
	var out strings.Builder
	entities := true
	for line := range strings.Lines(s) {
		entities = entities && !strings.Contains(line, "<")
		for range maxRepairs {
			before := line
			if entities {
				line = repairEntities(line)
			}
			line = compose(repairRunes(dropEscapes(line)))
			if line == before {
				break
			}
		}
		out.WriteString(line)
	}
	return out.String()
}

// plain tells whether s holds nothing that repair could change.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x7F || s[i] < ' ' && s[i] != '\n' && s[i] != '\t' || s[i] == '&' {
			return false
		}
	}
	return true
}

// dropEscapes removes the terminal sequences ESC [ digits and semicolons, then
// one letter.
func dropEscapes(s string) string {
	const start = "\x1b["
	if !strings.Contains(s, start) {
		return s
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, start)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		rest := strings.TrimLeftFunc(after, func(r rune) bool { return r == ';' || unicode.IsDigit(r) })
		if rest == "" || !isAlphanumeric(rest[0]) {
			out.WriteString(start)
			rest = after
		} else {
			rest = rest[1:]
		}
		s = rest
	}
}

// repairRunes replaces or drops runes one by one.
func repairRunes(s string) string {
	var out strings.Builder
	out.Grow(len(s))
	for i, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\f':
			out.WriteRune(r)
		case r == '\r' || r == '\u2028' || r == '\u2029':
			if !(r == '\r' && strings.HasPrefix(s[i:], "\r\n")) {
				out.WriteByte('\n')
			}
		case control(r):
		case 0x80 <= r && r <= 0x9F:
			// HTML reads these numbers as Windows-1252 too.
			out.WriteString(resolve("&#x" + string("89"[(r-0x80)>>4]) + string("0123456789abcdef"[r&15]) + ";"))
		case r == '\u3000':
			out.WriteByte(' ')
		case 0xFF01 <= r && r <= 0xFFEF:
			out.WriteString(norm.NFKC.String(string(r)))
		case r == '\u02BC' || '\u2018' <= r && r <= '\u201B':
			out.WriteByte('\'')
		case '\u201C' <= r && r <= '\u201F':
			out.WriteByte('"')
		default:
			if latin, ok := ligature(r); ok {
				out.WriteString(latin)
			} else {
				out.WriteRune(r)
			}
		}
	}
	return out.String()
}

// control tells whether r is a control character that means nothing in text.
func control(r rune) bool {
	return r < ' ' || r == 0x7F || 0x206A <= r && r <= 0x206F || r == 0xFEFF || 0xFFF9 <= r && r <= 0xFFFC
}

// ligature spells out r if it is a ligature or digraph of Latin letters. Those
// in use as letters, such as æ, are not.
func ligature(r rune) (string, bool) {
	switch {
	case r < utf8.RuneSelf:
		return "", false
	case r == 'ŉ': // its apostrophe, the next round makes straight
		return "ʼn", true
	case r == 'ﬅ':
		return "ſt", true
	case r == 'Ĳ' || r == 'ĳ' || 'Ǆ' <= r && r <= 'ǌ' || 'Ǳ' <= r && r <= 'ǳ' || 'ﬀ' <= r && r <= 'ﬆ':
		// The digraphs with caron compose: Dž, not Dz and a caron.
		return norm.NFKC.String(string(r)), true
	}
	return "", false
}
