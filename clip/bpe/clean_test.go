package bpe

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnescape(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "a & b &; &# &#; &#x; &", "a & b &; &# &#; &#x; &"},
		{"a name", "&lt;&eacute;&hellip;", "<é…"},
		{"no semicolon", "&ampé &ltx &notit;", "&é <x ¬it;"},
		{"no such name", "&nosuch; &EACUTE;", "&nosuch; &EACUTE;"},
		{"a name of two runes", "&nGt;&nLt;&nvlt;", "≫\u20d2≪\u20d2<\u20d2"},
		{"numbers", "&#65;&#x41;&#X4a;&#65 &#x1F642;", "AAJA 🙂"},
		{"Windows-1252", "&#x92;&#146;&#x81;&#13;", "’’\u0081\r"},
		{"no characters", "&#0;&#xD800;&#x110000;&#99999999999999999999;&#4294967361;", strings.Repeat("\ufffd", 5)},
		{"controls and noncharacters", "[&#1;&#x0B;&#x1f;&#127;&#xFDD0;&#xFFFE;&#x1FFFF;]", "[]"},
		{"one level", "&amp;amp;", "&amp;"},
	} {
		if got := unescape(tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRepair(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"plain", "It's plain.\tText\n", "It's plain.\tText\n"},
		{"quotes", "“it’s” ‘so’ ʼn", `"it's" 'so' 'n`},
		{"ligatures", "ﬂuﬃeﬆ ĳ Ǆ ŉ ﬅ æ", "fluffiest ij DŽ 'n ſt æ"},
		{"width", "ＬＯＵＤ　ﾉｲｽﾞ", "LOUD ノイズ"},
		{"line breaks", "a\r\nb\rc\u2028d\u2029e", "a\nb\nc\nd\ne"},
		{"C1 is Windows-1252", "\u0085\u0092", "…'"},
		{"terminal colours", "\x1b[36;44mblue\x1b[0m \x1b[1", "blue [1"},
		{"controls", "\x00a\x0b\x1f\x7f\u206a\ufeff\ufff9\ufffcb\f", "ab\f"},
		{"composed", "e\u0301 \u1112\u1161\u11ab", "é 한"},
		{"entities to the last", "&amp;amp;amp;amp;lt;", "<"},
		{"entities in capitals", "&EACUTE;&SZLIG; &eAcute; &SEMI;", "ÉSS &eAcute; ;"},
		{"whole entities alone", "&amp &notit;", "&amp &notit;"},
		{"no entities from a tag on", "&lt;\n<b>&lt;\n&lt;", "<\n<b>&lt;\n&lt;"},
		{"wrongly decoded text stays", "cafÃ©", "cafÃ©"},
	} {
		if got := repair(tt.text); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLower(t *testing.T) {
	for _, tt := range []struct{ text, want, wordwise string }{
		{"plain", "plain", "plain"},
		{"ÀÉ ÐŁ", "àé ðł", "àé ðł"},
		{"İI", "i\u0307i", "i\u0307i"},
		{"ΟΔΟΣ ΣΑΣ Σ", "οδοσ σασ σ", "οδος σας σ"},
		{"ΑΣ'Α ΑΣ' 'ΑΣ: Α\u0301Σ", "ασ'α ασ' 'ασ: α\u0301σ", "ασ'α ας' 'ας: α\u0301ς"},
	} {
		if got := lower(tt.text, false); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
		if got := lower(tt.text, true); got != tt.wordwise {
			t.Errorf("%q by words: %q, want %q", tt.text, got, tt.wordwise)
		}
	}
}

func TestComposeTakesAnyNumberOfMarks(t *testing.T) {
	dots, rings := strings.Repeat("\u0323", 40), strings.Repeat("\u030a", 40)
	for _, tt := range []struct{ name, text, want string }{
		{"one below, one above", "a\u030a\u0323", "ạ\u030a"},
		{"many, mixed", "a" + strings.Repeat("\u030a\u0323", 40), "ạ" + dots[2:] + rings},
		{"many above", "a" + rings, "å" + rings[2:]},
		{"a joiner of its own", "\u034fa" + rings, "\u034få" + rings[2:]},
		{"Hangul after many", "a" + rings + "\u1112\u1161\u11ab", "å" + rings[2:] + "한"},
		{"marks alone", rings + dots, dots + rings},
		{"an excluded composition", "\u0915\u093c" + rings, "\u0915\u093c" + rings},
	} {
		if got := compose(tt.text); got != tt.want {
			t.Errorf("%s: %+q, want %+q", tt.name, got, tt.want)
		}
		if got := composeMarks(tt.text); got != tt.want {
			t.Errorf("%s, slowly: %+q, want %+q", tt.name, got, tt.want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct{ text, clip, gpt2 string }{
		{"", "", ""},
		{"a  b", "a|b", "a| | b"},
		{" a\n\n b \t", "a|b", " a|\n\n| b| \t"},
		{"it's we'll 'tis", "it|'s|we|'ll|'t|is", "it|'s| we|'ll| '|tis"},
		{"!'s", "!'|s", "!'|s"},
		{"a12 34", "a|1|2|3|4", "a|12| 34"},
		{"½²Ⅳ", "½|²|Ⅳ", "½²Ⅳ"},
		{"…!\u00a0x", "…!|x", "…!|\u00a0|x"},
		{"日本語です", "日本語です", "日本語です"},
		{"a\u0301b", "a|\u0301|b", "a|\u0301|b"},
		{"\x1c", "\x1c", "\x1c"},
		{"'ſt", "'ſ|t", "'|ſt"},
		{"'", "'", "'"},
		{"a\xffb", "a|\xff|b", "a|\xff|b"},
	} {
		for _, s := range []struct {
			name, want string
			split      func(yield func(string))
		}{
			{"CLIP", tt.clip, func(yield func(string)) { splitCLIP(tt.text, true, yield) }},
			{"GPT-2", tt.gpt2, func(yield func(string)) { splitGPT2(tt.text, yield) }},
		} {
			var words []string
			s.split(func(w string) { words = append(words, w) })
			if got := strings.Join(words, "|"); got != s.want {
				t.Errorf("%s splits %q into %q, want %q", s.name, tt.text, got, s.want)
			}
		}
	}
}

// Whatever comes in, cleaning gives valid text and doing it again to its own
// result needs no repair.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"&amp;amp;lt;", "“ﬁ”\x1b[0m", "ΑΣ'", "a\u0301\u0323", "\xff&#x92", "ŉ\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range []Cleaning{OpenAI, HuggingFace} {
			if got := c.apply(s); !utf8.ValidString(got) {
				t.Errorf("%s cleans %q to %q, no UTF-8", c, s, got)
			}
		}
		valid := strings.ToValidUTF8(s, "")
		if strings.Contains(valid, "&") {
			return // escaped deeper than maxRepairs it may change again
		}
		if once := repair(valid); repair(once) != once {
			t.Errorf("%q is repaired to %q, and that to %q", valid, once, repair(once))
		}
	})
}
