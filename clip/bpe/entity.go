package bpe

import (
	"html"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// unescape resolves HTML character references as Python's html.unescape does,
// by the rules of HTML 5: the semicolon may be missing, and numbers that name
// no character become nothing or U+FFFD.
func unescape(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		s = s[i:]
		n := reference(s)
		out.WriteString(resolve(s[:n]))
		s = s[n:]
	}
}

// reference is the length of the reference that s, which begins with &, begins
// with; 1 if it is none.
func reference(s string) int {
	n := 1
	digit := isAlphanumeric
	if strings.HasPrefix(s, "&#") {
		n, digit = 2, isDecimal
		if len(s) > 2 && s[2]|0x20 == 'x' {
			n, digit = 3, isHex
		}
	}
	first := n
	for n < len(s) && digit(s[n]) {
		n++
	}
	if n == first {
		return 1
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	return n
}

func isDecimal(b byte) bool { return '0' <= b && b <= '9' }
func isHex(b byte) bool     { return isDecimal(b) || 'a' <= b|0x20 && b|0x20 <= 'f' }
func isAlphanumeric(b byte) bool {
	return isDecimal(b) || 'a' <= b|0x20 && b|0x20 <= 'z'
}

// resolve is what one reference stands for.
func resolve(ref string) string {
	switch {
	case ref == "&nGt;": // the library lacks these two, longer than their names
		return "≫\u20D2"
	case ref == "&nLt;":
		return "≪\u20D2"
	case !strings.HasPrefix(ref, "&#"):
		return html.UnescapeString(ref)
	}
	base, digits := 10, strings.TrimSuffix(ref[2:], ";")
	if digits[0]|0x20 == 'x' {
		base, digits = 16, digits[1:]
	}
	code := 0
	for i := range len(digits) {
		d := int(digits[i] - '0')
		if d > 9 {
			d = int(digits[i]|0x20-'a') + 10
		}
		// Past the last code point only its being past matters.
		code = min(code*base+d, utf8.MaxRune+1)
	}
	switch {
	case code == '\r' || 0x80 <= code && code <= 0x9F:
		return html.UnescapeString(ref) // Windows-1252
	case code == 0 || code > utf8.MaxRune || 0xD800 <= code && code <= 0xDFFF:
		return string(utf8.RuneError)
	case code <= 0x08 || code == 0x0B || 0x0E <= code && code <= 0x1F || code == 0x7F,
		0xFDD0 <= code && code <= 0xFDEF, code&0xFFFE == 0xFFFE:
		return ""
	}
	return string(rune(code))
}

// longestEntity is the length of the longest name that repairEntities resolves.
const longestEntity = 24

// repairEntities resolves the references that ftfy does: complete ones only,
// and named ones in capitals that HTML lacks, such as &EACUTE;.
func repairEntities(s string) string {
	var out strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		s = s[i:]
		n := 1
		if strings.HasPrefix(s, "&#") {
			n = 2
		}
		first := n
		for n < len(s) && isAlphanumeric(s[n]) {
			n++
		}
		if n == first || n-first > longestEntity || n == len(s) || s[n] != ';' {
			out.WriteByte('&')
			s = s[1:]
			continue
		}
		n++
		out.WriteString(repairEntity(s[:n]))
		s = s[n:]
	}
}

func repairEntity(ref string) string {
	if got, ok := whole(ref); ok {
		return got
	}
	if ref == strings.ToUpper(ref) && unescape(ref) == ref {
		if got, ok := whole(strings.ToLower(ref)); ok {
			return cases.Upper(language.Und).String(got)
		}
	}
	return ref
}

// whole resolves a reference if it is one up to its semicolon: of &notin; HTML
// also knows the beginning &not.
func whole(ref string) (string, bool) {
	got := unescape(ref)
	return got, !strings.HasSuffix(got, ";") || ref == "&semi;"
}
