package bpe

import (
	"slices"
	"testing"
)

// fuzzTable builds from what was read: a table that parses may still be wrong,
// and then there is an error, or it makes a tokenizer that encodes.
func fuzzTable(t *testing.T, read table, family string) {
	c := Cleaning("")
	if family == familyCLIP {
		c = OpenAI
	}
	tok, err := build(read.vocab, read.merges, c, config{}.roles(family))
	if err != nil {
		return
	}
	for _, id := range tok.Encode("it's A test 42 &amp; 🙂") {
		if id < 0 || id >= tok.Size() {
			t.Errorf("id %d of %d", id, tok.Size())
		}
	}
}

func FuzzParseVocab(f *testing.F) {
	f.Add([]byte(`{"a": 0, "b": 1}`))
	f.Add([]byte(`{"a": 9223372036854775807}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if vocab, err := parseVocab(text); err == nil {
			fuzzTable(t, table{vocab: vocab}, familyGPT2)
		}
	})
}

func FuzzParseMerges(f *testing.F) {
	f.Add([]byte("#version: 0.2\na b\nab c</w>\r\n"))
	f.Add([]byte("a b c"))
	f.Add([]byte("a b\r\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := parseMerges(text)
		if err != nil {
			return
		}
		again, err := parseMerges((&Tokenizer{table: table}).mergesText())
		if err != nil || !slices.Equal(again, table) {
			t.Errorf("%q written and read again is %q (%v)", table, again, err)
		}
	})
}

func FuzzParseSimple(f *testing.F) {
	f.Add([]byte("#version\na b\nab c</w>\n"))
	f.Add([]byte("#version"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if read, err := parseSimple(text); err == nil {
			fuzzTable(t, read, familyCLIP)
		}
	})
}

func FuzzParseFast(f *testing.F) {
	f.Add([]byte(`{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}, "pre_tokenizer": {"type": "ByteLevel"}}`))
	f.Add([]byte(`{"model": {"merges": ["a b"], "end_of_word_suffix": "</w>"}, "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, null]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if read, err := parseFast(text); err == nil {
			fuzzTable(t, read.table, read.family)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"tokenizer_class": "CLIPTokenizer", "bos_token": {"content": "x"}, "pad_token": null, "added_tokens_decoder": {"1": {"content": "y"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := parseConfig(text); err == nil {
			family, _ := c.family()
			vocab := map[string]int{}
			if c.add(vocab) == nil {
				fuzzTable(t, table{vocab: vocab}, family)
			}
		}
	})
}

func FuzzGPT2RoundTrip(f *testing.F) {
	tok := loadFixture(f, "gpt2")
	for _, s := range []string{"", "it's  a\n\ntest", "\xff\x00", "日本🙂", "<|endoftext|>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ids := tok.Encode(s)
		if got := tok.Decode(ids); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
		if slices.Contains(ids, tok.End()) {
			t.Errorf("%q makes the end token", s)
		}
	})
}

func FuzzCLIP(f *testing.F) {
	tok := loadFixture(f, "clip")
	for _, s := range []string{"", "a photo &amp; more", "<|endoftext|>", "\xff", "“ﬁ” 🙂"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ids := tok.Encode(s)
		if n := len(ids); n < 2 || slices.Index(ids, tok.End()) != n-1 || slices.Contains(ids[1:], tok.Start()) {
			t.Errorf("%q has ids %v, want one start first and one end last", s, ids)
		}
		tok.Decode(ids)
		tok.EncodeSpecial(s)
	})
}

func FuzzDecode(f *testing.F) {
	tok := loadFixture(f, "clip")
	f.Add(-1, 320, 49407)
	f.Fuzz(func(t *testing.T, a, b, c int) {
		tok.Decode([]int{a, b, c})
		tok.Pad([]int{a, b, c}, a%100)
	})
}
