package bpe

import "strings"

// wordEnd marks the last symbol of a word in CLIP's vocabulary.
const wordEnd = "</w>"

// An alphabet spells each byte as one printable rune, so that tables are text:
// printable Latin-1 stands for itself, the other bytes for the runes from
// U+0100 on, in order.
type alphabet struct {
	runes  [256]rune
	bytes  map[rune]byte
	sorted [256]byte // bytes in the order of OpenAI's vocabularies
}

func newAlphabet() *alphabet {
	a := &alphabet{bytes: make(map[rune]byte, 256)}
	n, next := 0, rune(256)
	for b := range 256 {
		if printable(b) {
			a.runes[b] = rune(b)
			a.sorted[n] = byte(b)
			n++
		}
	}
	for b := range 256 {
		if !printable(b) {
			a.runes[b] = next
			a.sorted[n] = byte(b)
			n, next = n+1, next+1
		}
	}
	for b, r := range a.runes {
		a.bytes[r] = byte(b)
	}
	return a
}

func printable(b int) bool {
	return '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xAC || 0xAE <= b && b <= 0xFF
}

// symbol spells the byte b.
func (a *alphabet) symbol(b byte) string { return string(a.runes[b]) }

// text is what a token decodes to. A token outside the alphabet, as an added
// one may be, stands for itself.
func (a *alphabet) text(token string) string {
	var s strings.Builder
	for _, r := range token {
		b, ok := a.bytes[r]
		if !ok {
			return token
		}
		s.WriteByte(b)
	}
	return s.String()
}
