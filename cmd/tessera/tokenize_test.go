package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const clipVocab = "../../testdata/bpe/clip"

func TestTokenizeCommand(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"texts", "", []string{"a photo of a cat", "A Dog &amp;"}, "49406 320 1125 539 320 2368 49407\n49406 320 1929 261 49407\n"},
		{"lines", "a dog\n\na cat", nil, "49406 320 1929 49407\n49406 49407\n49406 320 2368 49407\n"},
		{"no line", "", nil, ""},
		{"padded", "", []string{"--length", "5", "a dog"}, "49406 320 1929 49407 0\n"},
		{"cut", "", []string{"--length", "3", "--cleaning", "huggingface", "a dog"}, "49406 320 49407\n"},
		{"special", "", []string{"--special", "<|endoftext|>"}, "49406 49407 49407\n"},
		{"JSON", "\"a\\ndog\"\n", []string{"--json"},
			`{"text":"a\ndog","ids":[49406,320,1929,49407],"tokens":["<|startoftext|>","a</w>","dog</w>","<|endoftext|>"]}` + "\n"},
	} {
		cmd := newTokenize()
		cmd.SetIn(strings.NewReader(tt.stdin))
		got, err := execute(cmd, append([]string{"--vocab", clipVocab}, tt.args...)...)
		if err != nil || got != tt.want {
			t.Errorf("%s: printed %q (error %v), want %q", tt.name, got, err, tt.want)
		}
	}
	cmd := newTokenize()
	cmd.SetIn(strings.NewReader("no JSON\n"))
	if _, err := execute(cmd, "--vocab", clipVocab, "--json"); err == nil || !strings.Contains(err.Error(), "line 1: want a JSON string") {
		t.Errorf("a line that is no JSON: error %v", err)
	}
	wantErrors(t, newTokenize, []badCall{
		{"no folder", []string{"a"}, "--vocab is missing", true},
		{"missing folder", []string{"--vocab", "missing", "a"}, "missing has no tokenizer", false},
		{"unknown cleaning", []string{"--vocab", clipVocab, "--cleaning", "opneai", "a"}, `did you mean "openai"`, true},
		{"no length", []string{"--vocab", clipVocab, "--length", "0", "a"}, "--length is 0", true},
		{"cleaning for GPT-2", []string{"--vocab", "../../testdata/bpe/gpt2", "--cleaning", "openai", "a"}, "only CLIP's", false},
		{"two folders", []string{"--vocab", clipVocab, "--model", clipVocab, "a"}, "want one of them", true},
		{"cases and texts", []string{"--vocab", clipVocab, "--cases", "x", "a"}, "leave out \"a\"", true},
		{"no cases", []string{"--vocab", clipVocab, "--cases", "missing.json"}, "missing.json", false},
	})
}

func TestTokenizeCases(t *testing.T) {
	const file = clipVocab + "/cases.json"
	got, err := execute(newTokenize(), "--vocab", clipVocab, "--cases", file)
	if err != nil || !strings.Contains(got, " 0 texts differ") || strings.HasPrefix(got, "0 texts") {
		t.Errorf("printed %q, error %v", got, err)
	}
	// The other tokenizer leaves entities alone.
	got, err = execute(newTokenize(), "--vocab", clipVocab, "--cleaning", "huggingface", "--cases", file)
	if err == nil || !strings.Contains(got, "&amp;") || strings.Contains(got, " 0 texts differ") {
		t.Errorf("printed %q, error %v", got, err)
	}
	for name, text := range map[string]string{"no JSON": "x", "no cases": "[]", "no ids": `[{"text": "a"}]`} {
		path := filepath.Join(t.TempDir(), "cases.json")
		write(t, path, []byte(text))
		if _, err := execute(newTokenize(), "--vocab", clipVocab, "--cases", path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
}
