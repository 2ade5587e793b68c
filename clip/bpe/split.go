package bpe

import (
	"unicode"
	"unicode/utf8"
)

// A class is what the published patterns tell runes apart by.
type class int

const (
	other  class = iota // a byte that is no UTF-8 included
	space               // \s
	letter              // \p{L}
	number              // \p{N}
)

func classOf(r rune, size int) class {
	switch {
	case r < utf8.RuneSelf:
		switch {
		case 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z':
			return letter
		case '0' <= r && r <= '9':
			return number
		case r == ' ' || '\t' <= r && r <= '\r':
			return space
		}
		return other
	case r == utf8.RuneError && size == 1:
		return other
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// next is the class and size of the rune that s begins with.
func next(s string) (class, int) {
	r, size := utf8.DecodeRuneInString(s)
	return classOf(r, size), size
}

// run is the length of the runes of class c that s begins with.
func run(s string, c class) int {
	n := 0
	for n < len(s) {
		k, size := next(s[n:])
		if k != c {
			break
		}
		n += size
	}
	return n
}

// contraction is the length of the English contraction that s begins with, or
// 0. CLIP's pattern ignores case, and of all letters that are lower case
// already only the long s folds to one of these.
func contraction(s string, longS bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) < 3 {
		return 0
	}
	switch s[1:3] {
	case "re", "ve", "ll":
		return 3
	case "ſ":
		if longS {
			return 3
		}
	}
	return 0
}

// splitCLIP calls yield with the words of s, those of
//
//	's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//
// White space is in none of them.
func splitCLIP(s string, longS bool, yield func(string)) {
	for len(s) > 0 {
		n := contraction(s, longS)
		if n == 0 {
			c, size := next(s)
			switch c {
			case space:
				s = s[size:]
				continue
			case number:
				n = size
			default:
				n = run(s, c)
			}
		}
		yield(s[:n])
		s = s[n:]
	}
}

// splitGPT2 calls yield with the words of s, those of
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// Joined they are s again.
func splitGPT2(s string, yield func(string)) {
	for len(s) > 0 {
		n := contraction(s, false)
		if n == 0 {
			n = wordGPT2(s)
		}
		yield(s[:n])
		s = s[n:]
	}
}

// wordGPT2 is the length of the word that s begins with, contractions aside.
func wordGPT2(s string) int {
	c, size := next(s)
	if c != space {
		return run(s, c)
	}
	if s[0] == ' ' && len(s) > 1 {
		if c, _ := next(s[1:]); c != space {
			return 1 + run(s[1:], c)
		}
	}
	n := run(s, space)
	if n == len(s) || n == size {
		return n
	}
	// The last space is left for the next word.
	_, last := utf8.DecodeLastRuneInString(s[:n])
	return n - last
}
