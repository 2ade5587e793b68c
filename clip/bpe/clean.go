package bpe

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Cleaning is what is done to a text before CLIP's pattern splits it. The two
// agree on plain text; a checkpoint wants the one it was made with.
type Cleaning string

const (
	// OpenAI repairs the text (see repair), unescapes HTML entities twice and
	// lowers case, as openai/CLIP and open_clip do.
	OpenAI Cleaning = "openai"
	// HuggingFace composes the text (Unicode's form NFC) and lowers case, as
	// CLIPTokenizerFast does.
	HuggingFace Cleaning = "huggingface"
)

// apply cleans s. Both cleanings also collapse white space, which changes no
// id: the pattern drops all of it.
func (c Cleaning) apply(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if c == HuggingFace {
		return lower(compose(s), false)
	}
	s = lower(unescape(unescape(repair(s))), true)
	// Ignoring case, Python's pattern takes the iota below a letter for neither
	// a letter nor anything else, and drops it.
	return strings.ReplaceAll(s, "\u0345", " ")
}

// lower maps each rune to lower case in full: İ becomes two runes. With sigma,
// a Σ that ends a word becomes ς.
func lower(s string, sigma bool) string {
	ascii, upper := true, false
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
		upper = upper || 'A' <= s[i] && s[i] <= 'Z'
	}
	if ascii && !upper {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	for i, r := range s {
		switch {
		case r == 'İ':
			out.WriteString("i\u0307")
		case r == 'Σ' && sigma && endsWord(s[:i], s[i+len("Σ"):]):
			out.WriteRune('ς')
		default:
			out.WriteRune(unicode.ToLower(r))
		}
	}
	return out.String()
}

// endsWord is the condition Final_Sigma of The Unicode Standard, table 3-17.
func endsWord(before, after string) bool {
	before = strings.TrimRightFunc(before, caseIgnorable)
	r, _ := utf8.DecodeLastRuneInString(before)
	if before == "" || !cased(r) {
		return false
	}
	after = strings.TrimLeftFunc(after, caseIgnorable)
	r, _ = utf8.DecodeRuneInString(after)
	return after == "" || !cased(r)
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Uppercase, unicode.Other_Lowercase)
}

func caseIgnorable(r rune) bool {
	// The latter are those with the property Word_Break of MidLetter, MidNumLet
	// or Single_Quote.
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("':.\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A", r)
}
