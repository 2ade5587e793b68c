package bpe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const fixtures = "../../testdata/bpe"

func loadFixture(t testing.TB, name string) *Tokenizer {
	t.Helper()
	tok, err := Load(filepath.Join(fixtures, name))
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
