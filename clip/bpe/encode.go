package bpe

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Encode returns the ids of text: CLIP's between Start and End, GPT-2's alone.
// Text that spells a special token is plain text. Bytes that are no UTF-8 count
// as U+FFFD for CLIP and as themselves for GPT-2.
func (t *Tokenizer) Encode(text string) []int {
	e := t.encoder(text)
	e.text(text)
	return e.close()
}

// EncodeSpecial is Encode, but for special tokens: text that spells one stands
// for it, the longest where several begin. It is meant for prompts, not for
// text that others wrote.
func (t *Tokenizer) EncodeSpecial(text string) []int {
	names := slices.SortedFunc(maps.Keys(t.special), func(a, b string) int { return len(b) - len(a) })
	e := t.encoder(text)
	from := 0
	for i := 0; i < len(text); {
		n := slices.IndexFunc(names, func(s string) bool { return strings.HasPrefix(text[i:], s) })
		if n < 0 {
			i++
			continue
		}
		e.text(text[from:i])
		e.ids = append(e.ids, t.special[names[n]])
		i += len(names[n])
		from = i
	}
	e.text(text[from:])
	return e.close()
}

// An encoder collects the ids of one text.
type encoder struct {
	*Tokenizer
	ids     []int
	symbols []int32 // scratch
}

func (t *Tokenizer) encoder(text string) *encoder {
	e := &encoder{Tokenizer: t, ids: make([]int, 0, len(text)/4+2)}
	if t.cleaning != "" {
		e.ids = append(e.ids, t.start)
	}
	return e
}

func (e *encoder) close() []int {
	if e.cleaning != "" {
		e.ids = append(e.ids, e.end)
	}
	return e.ids
}

func (e *encoder) text(s string) {
	if e.cleaning == "" {
		splitGPT2(s, e.word)
		return
	}
	splitCLIP(e.cleaning.apply(s), e.cleaning == OpenAI, e.word)
}

func (e *encoder) word(w string) {
	e.symbols = e.symbols[:0]
	for i := range len(w) - 1 {
		e.symbols = append(e.symbols, e.inner[w[i]])
	}
	e.symbols = append(e.symbols, e.last[w[len(w)-1]])
	for _, id := range e.merges.apply(e.symbols) {
		e.ids = append(e.ids, int(id))
	}
}

// Decode returns the text of ids, special tokens left out. Ids outside the
// vocabulary read as U+FFFD, and so do bytes that make no UTF-8, but for
// GPT-2: there Decode(Encode(s)) is s, byte by byte. CLIP's words come back in
// lower case and one space apart.
func (t *Tokenizer) Decode(ids []int) string {
	var s strings.Builder
	for _, id := range ids {
		if id < 0 || id >= len(t.texts) {
			s.WriteRune(utf8.RuneError)
			continue
		}
		s.WriteString(t.texts[id])
	}
	if t.cleaning == "" {
		return s.String()
	}
	return strings.TrimSuffix(strings.ToValidUTF8(s.String(), string(utf8.RuneError)), " ")
}

// Pad returns ids at the given length: filled up with Padding, or cut. If ids
// end with End, so does what is cut, for CLIP reads the text's features there.
// A length of 0 or less gives no ids.
func (t *Tokenizer) Pad(ids []int, length int) []int {
	length = max(length, 0)
	padded := make([]int, length)
	n := copy(padded, ids)
	for i := n; i < length; i++ {
		padded[i] = t.padding
	}
	if 0 < length && length < len(ids) && ids[len(ids)-1] == t.end {
		padded[length-1] = t.end
	}
	return padded
}
