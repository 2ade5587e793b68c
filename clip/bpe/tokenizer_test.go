package bpe

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const fixtures = "../../testdata/bpe"

// loaded holds the published tokenizers, read once.
var loaded = map[string]func() (*Tokenizer, error){
	"clip": sync.OnceValues(func() (*Tokenizer, error) { return Load(filepath.Join(fixtures, "clip")) }),
	"gpt2": sync.OnceValues(func() (*Tokenizer, error) { return Load(filepath.Join(fixtures, "gpt2")) }),
}

func loadFixture(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := loaded[name]()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// Ids of openai/CLIP's tokenizer and of GPT-2's.
func TestEncodeEqualsThePublishedTokenizers(t *testing.T) {
	for _, name := range []string{"clip", "gpt2"} {
		tok := loadFixture(t, name)
		text, err := os.ReadFile(filepath.Join(fixtures, name, "cases.json"))
		if err != nil {
			t.Fatal(err)
		}
		var cases []struct {
			Text string
			IDs  []int
		}
		if err := json.Unmarshal(text, &cases); err != nil {
			t.Fatal(err)
		}
		if len(cases) < 10 {
			t.Fatalf("%s: %d cases, want 10 or more", name, len(cases))
		}
		for _, c := range cases {
			if got := tok.Encode(c.Text); !slices.Equal(got, c.IDs) {
				t.Errorf("%s: %q has ids\n%v, want\n%v", name, c.Text, got, c.IDs)
			}
			if got := tok.Decode(c.IDs); name == "gpt2" && got != c.Text {
				t.Errorf("gpt2: ids of %q decode to %q", c.Text, got)
			}
		}
	}
}

func TestEncodeCLIP(t *testing.T) {
	openAI := loadFixture(t, "clip")
	huggingFace, err := openAI.WithCleaning(HuggingFace)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text  string
		openAI      []int
		huggingFace []int // nil: as OpenAI's
	}{
		{"nothing", "", []int{}, nil},
		{"white space alone", " \t\n\u00a0\u3000", []int{}, nil},
		{"case and white space", "A Photo  of\ta CAT!", []int{320, 1125, 539, 320, 2368, 256}, nil},
		{"an entity escaped twice", "it's 2024, &amp;amp; we're here",
			[]int{585, 568, 273, 271, 273, 275, 267, 261, 649, 982, 763},
			[]int{585, 568, 273, 271, 273, 275, 267, 261, 6259, 282, 6259, 282, 649, 982, 763}},
		{"accents", "naïve café", []int{1097, 35689, 563, 15304}, nil},
		{"accents written apart", "nai\u0308ve cafe\u0301", []int{1097, 35689, 563, 15304}, nil},
		{"another script", "日本語 モデル", []int{39121, 44353, 34002, 508, 2429, 95, 2429, 229, 2429, 360}, nil},
		{"emoji", "🙂👍", []int{32006, 4201}, nil},
		{"digits one by one", "hello_world...100%", []int{3306, 318, 1002, 678, 272, 271, 271, 260}, nil},
		{"hyphens and slashes", "T-shirt/top", []int{339, 268, 2523, 270, 1253}, nil},
		{"a spelled special token", "<|endoftext|>", []int{27, 347, 40786, 4160, 91, 285}, nil},
		{"bytes that are no UTF-8", "a\xffb", []int{320, 39802, 321}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.huggingFace == nil {
				tt.huggingFace = tt.openAI
			}
			for _, c := range []struct {
				tok  *Tokenizer
				want []int
			}{{openAI, tt.openAI}, {huggingFace, tt.huggingFace}} {
				want := slices.Concat([]int{49406}, c.want, []int{49407})
				if got := c.tok.Encode(tt.text); !slices.Equal(got, want) {
					t.Errorf("%s: %q has ids %v, want %v", c.tok.Cleaning(), tt.text, got, want)
				}
			}
		})
	}
}

func TestEncodeGPT2KeepsEveryByte(t *testing.T) {
	tok := loadFixture(t, "gpt2")
	for _, s := range []string{"", " ", "\n\n x", "a\xff\xfeb", "<|endoftext|>", "\x00\x1f", "👨‍👩‍👧", "\u0345", "  \u00a0 a"} {
		if got := tok.Decode(tok.Encode(s)); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	}
}

func TestDecodeCLIP(t *testing.T) {
	tok := loadFixture(t, "clip")
	for _, tt := range []struct {
		name string
		ids  []int
		want string
	}{
		{"nothing", nil, ""},
		{"words", tok.Encode("A photo,  of CAFÉS!"), "a photo , of cafés !"},
		{"special tokens alone", []int{49406, 49407}, ""},
		{"part of a character", []int{252}, "\ufffd"},
		{"unknown ids", []int{-1, 320, 49408}, "\ufffda \ufffd"},
		{"text of the mark", tok.Encode("</w>"), "</ w >"},
	} {
		if got := tok.Decode(tt.ids); got != tt.want {
			t.Errorf("%s: %v decode to %q, want %q", tt.name, tt.ids, got, tt.want)
		}
	}
}

func TestPad(t *testing.T) {
	clip, gpt2 := loadFixture(t, "clip"), loadFixture(t, "gpt2")
	huggingFace, err := clip.WithCleaning(HuggingFace)
	if err != nil {
		t.Fatal(err)
	}
	const end = 49407
	for _, tt := range []struct {
		name   string
		tok    *Tokenizer
		ids    []int
		length int
		want   []int
	}{
		{"OpenAI fills with 0", clip, []int{49406, 320, end}, 5, []int{49406, 320, end, 0, 0}},
		{"Hugging Face fills with the end", huggingFace, []int{49406, 320, end}, 5, []int{49406, 320, end, end, end}},
		{"GPT-2 fills with the end", gpt2, []int{64}, 3, []int{64, 50256, 50256}},
		{"as long", clip, []int{49406, 320, end}, 3, []int{49406, 320, end}},
		{"cut before the end", clip, []int{49406, 320, 1125, end}, 3, []int{49406, 320, end}},
		{"cut to one", clip, []int{49406, 320, end}, 1, []int{end}},
		{"cut without an end", gpt2, []int{1, 2, 3}, 2, []int{1, 2}},
		{"nothing to pad", clip, nil, 2, []int{0, 0}},
		{"to nothing", clip, []int{49406, end}, 0, []int{}},
		{"to less than nothing", clip, []int{49406, end}, -1, []int{}},
	} {
		ids := slices.Clone(tt.ids)
		if got := tt.tok.Pad(ids, tt.length); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if !slices.Equal(ids, tt.ids) {
			t.Errorf("%s: the ids given became %v", tt.name, ids)
		}
	}
}

func TestSpecialTokens(t *testing.T) {
	gpt2 := loadFixture(t, "gpt2")
	tok, err := gpt2.WithSpecial("<image>", "<|endofchunk|>", "<image>", "<image>s")
	if err != nil {
		t.Fatal(err)
	}
	if tok.Size() != 50260 || gpt2.Size() != 50257 {
		t.Errorf("sizes %d and %d, want 50260 and 50257", tok.Size(), gpt2.Size())
	}
	if id, ok := tok.ID("<|endofchunk|>"); !ok || id != 50258 {
		t.Errorf("<|endofchunk|> has id %d (%t), want 50258", id, ok)
	}
	if _, ok := gpt2.ID("<image>"); ok {
		t.Error("the tokenizer extended knows the new token")
	}
	if name, ok := tok.Token(50259); !ok || name != "<image>s" {
		t.Errorf("id 50259 is %q (%t), want <image>s", name, ok)
	}
	for _, id := range []int{-1, 50260} {
		if name, ok := tok.Token(id); ok {
			t.Errorf("id %d is %q, want none", id, name)
		}
	}
	const text = "<image>a<|endofchunk|><image>s<|endoftext|><image"
	want := slices.Concat([]int{50257}, gpt2.Encode("a"), []int{50258, 50259, 50256}, gpt2.Encode("<image"))
	if got := tok.EncodeSpecial(text); !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v", got, want)
	}
	if got, want := tok.Encode(text), gpt2.Encode(text); !slices.Equal(got, want) {
		t.Errorf("as plain text: ids %v, want %v", got, want)
	}
	if got := tok.Decode(want); got != "a<image" {
		t.Errorf("decoded %q, want the special tokens left out", got)
	}
	for _, name := range []string{"", "a"} {
		if _, err := gpt2.WithSpecial(name); err == nil {
			t.Errorf("token %q became special", name)
		}
	}

	clip := loadFixture(t, "clip")
	if got, want := clip.EncodeSpecial("a <|endoftext|>"), []int{49406, 320, 49407, 49407}; !slices.Equal(got, want) {
		t.Errorf("CLIP's ids %v, want %v", got, want)
	}

	dir := t.TempDir()
	if err := tok.Save(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.EncodeSpecial(text); !slices.Equal(got, want) {
		t.Errorf("saved and loaded: ids %v, want %v", got, want)
	}
}

func TestWithCleaning(t *testing.T) {
	for _, tt := range []struct {
		folder string
		c      Cleaning
		ok     bool
	}{{"clip", OpenAI, true}, {"clip", HuggingFace, true}, {"clip", "", false}, {"clip", "soap", false}, {"gpt2", OpenAI, false}} {
		tok, err := loadFixture(t, tt.folder).WithCleaning(tt.c)
		if (err == nil) != tt.ok || tt.ok && tok.Cleaning() != tt.c {
			t.Errorf("%s with cleaning %q: error %v", tt.folder, tt.c, err)
		}
	}
}

func TestConstructorsRejectBrokenTables(t *testing.T) {
	good := func() (map[string]int, [][2]string) {
		vocab := map[string]int{}
		for _, s := range append(CLIPTokens(), "ab", "ab</w>", startOfText, endOfText) {
			vocab[s] = len(vocab)
		}
		return vocab, [][2]string{{"a", "b"}, {"a", "b</w>"}}
	}
	if vocab, table := good(); true {
		tok, err := CLIP(vocab, table, OpenAI)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tok.Encode("ab"), []int{514, 513, 515}; !slices.Equal(got, want) {
			t.Errorf("ids %v, want %v", got, want)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(vocab map[string]int, table [][2]string)
		want  string
	}{
		{"an id too high", func(v map[string]int, _ [][2]string) { v["ab"] = 1 << 40 }, `"ab" has id 1099511627776, want 0 to 515`},
		{"a negative id", func(v map[string]int, _ [][2]string) { v["ab"] = -1 }, `"ab" has id -1`},
		{"an id twice", func(v map[string]int, _ [][2]string) { v["ab"] = 0 }, `"!" and "ab" share id 0`},
		{"no end", func(v map[string]int, _ [][2]string) { delete(v, endOfText); v["x1"] = 515 }, `no token "<|endoftext|>"`},
		{"no byte", func(v map[string]int, _ [][2]string) { delete(v, "!"); v["x1"] = 0 }, `no token "!", the symbol of byte 0x21`},
		{"no byte at the end", func(v map[string]int, _ [][2]string) { delete(v, "!</w>"); v["x1"] = 256 }, `no token "!</w>"`},
		{"an unknown product", func(_ map[string]int, m [][2]string) { m[1] = [2]string{"a", "c"} }, `merge 2, "a" + "c": no token "ac"`},
		{"an unknown part", func(_ map[string]int, m [][2]string) { m[0] = [2]string{"", "a"} }, `merge 1, "" + "a"`},
	} {
		vocab, table := good()
		tt.spoil(vocab, table)
		_, err := CLIP(vocab, table, OpenAI)
		wantError(t, tt.name, err, tt.want)
	}
	vocab, table := good()
	_, err := CLIP(vocab, table, "soap")
	wantError(t, "cleaning", err, `unknown cleaning "soap"`)
	if _, err := GPT2(nil, nil); err == nil {
		t.Error("GPT-2 without a vocabulary: no error")
	}
}

func wantError(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one with %q", name, err, want)
	}
}

func TestOneTokenizerServesMany(t *testing.T) {
	tok := loadFixture(t, "clip")
	texts := captions(200)
	var want [][]int
	for _, s := range texts {
		want = append(want, tok.Encode(s))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, s := range texts {
				if got := tok.Encode(s); !slices.Equal(got, want[i]) {
					t.Errorf("%q has ids %v, want %v", s, got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkEncode(b *testing.B) {
	texts := captions(256)
	for _, name := range []string{"clip", "gpt2"} {
		tok := loadFixture(b, name)
		b.Run(fmt.Sprintf("table=%s", name), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tok.Encode(texts[i%len(texts)])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}
