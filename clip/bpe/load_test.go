package bpe

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files are the contents of a folder by name; those of names in .gz are packed
// when written.
type files map[string]string

func (f files) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range f {
		data := []byte(text)
		if strings.HasSuffix(name, ".gz") {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			if _, err := z.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			data = packed.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small holds the files of a small tokenizer of either family.
func small(t *testing.T, c Cleaning) files {
	t.Helper()
	tok, err := Train(slices.Values(captions(100)), 560, c)
	if err != nil {
		t.Fatal(err)
	}
	vocab, err := tok.vocabJSON()
	if err != nil {
		t.Fatal(err)
	}
	return files{"vocab.json": string(vocab), "merges.txt": string(tok.mergesText())}
}

// fast returns the tokenizer.json of vocab.json and merges.txt, with merges as
// pairs or as lines.
func fast(t *testing.T, f files, pairs bool) string {
	t.Helper()
	var merges any
	table, err := parseMerges([]byte(f["merges.txt"]))
	if err != nil {
		t.Fatal(err)
	}
	merges = table
	if !pairs {
		var lines []string
		for _, m := range table {
			lines = append(lines, m[0]+" "+m[1])
		}
		merges = lines
	}
	text, err := json.Marshal(merges)
	if err != nil {
		t.Fatal(err)
	}
	vocab, err := parseVocab([]byte(f["vocab.json"]))
	if err != nil {
		t.Fatal(err)
	}
	pattern, err := json.Marshal(clipPattern)
	if err != nil {
		t.Fatal(err)
	}
	end, err := json.Marshal(vocab[endOfText])
	if err != nil {
		t.Fatal(err)
	}
	pipeline, suffix := `"normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}, "post_processor": {"type": "ByteLevel"}`, ""
	if _, ok := vocab[startOfText]; ok {
		pipeline = `"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]},
"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ` + string(pattern) + `}, "behavior": "Removed", "invert": true}, {"type": "ByteLevel", "add_prefix_space": false}]},
"post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 1], "cls": ["<|startoftext|>", 0], "add_prefix_space": false}`
		suffix = wordEnd
	}
	return `{"version": "1.0", "added_tokens": [{"id": ` + string(end) + `, "content": "<|endoftext|>", "special": true}], ` + pipeline +
		`, "model": {"type": "BPE", "dropout": null, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "", "end_of_word_suffix": "` + suffix +
		`", "fuse_unk": false, "vocab": ` + f["vocab.json"] + `, "merges": ` + string(text) + `}}`
}

func (f files) with(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

func TestLoadChooses(t *testing.T) {
	clip, gpt2 := small(t, OpenAI), small(t, "")
	for _, tt := range []struct {
		name    string
		files   files
		want    Cleaning
		padding int // -1: the end
	}{
		{"CLIP by its vocabulary", clip, OpenAI, 0},
		{"GPT-2 by its vocabulary", gpt2, "", -1},
		{"packed", files{"vocab.json.gz": clip["vocab.json"], "merges.txt.gz": clip["merges.txt"]}, OpenAI, 0},
		{"CLIPTokenizer", clip.with(files{"tokenizer_config.json": `{"tokenizer_class": "CLIPTokenizer"}`}), HuggingFace, -1},
		{"a named padding", clip.with(files{"tokenizer_config.json": `{"tokenizer_class": "CLIPTokenizerFast", "pad_token": "!"}`}), HuggingFace, 0},
		{"a named cleaning", clip.with(files{"tokenizer_config.json": `{"tokenizer_class": "CLIPTokenizer", "cleaning": "openai"}`}), OpenAI, 0},
		{"GPT2Tokenizer", gpt2.with(files{"tokenizer_config.json": `{"tokenizer_class": "GPT2Tokenizer", "bos_token": {"content": "<|endoftext|>"}, "pad_token": null}`}), "", -1},
		{"tokenizer.json of CLIP", files{"tokenizer.json": fast(t, clip, true)}, HuggingFace, -1},
		{"tokenizer.json of CLIP, in lines", files{"tokenizer.json": fast(t, clip, false)}, HuggingFace, -1},
		{"tokenizer.json of GPT-2", files{"tokenizer.json.gz": fast(t, gpt2, true)}, "", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tok, err := Load(tt.files.write(t))
			if err != nil {
				t.Fatal(err)
			}
			if tt.padding < 0 {
				tt.padding = tok.End()
			}
			if tok.Cleaning() != tt.want || tok.Padding() != tt.padding {
				t.Errorf("cleaning %q and padding %d, want %q and %d", tok.Cleaning(), tok.Padding(), tt.want, tt.padding)
			}
			same := clip
			if tt.want == "" {
				same = gpt2
			}
			plain, err := Load(same.write(t))
			if err != nil {
				t.Fatal(err)
			}
			const text = "a photo of the large green circle, “naïve”"
			if tt.want != HuggingFace && !slices.Equal(tok.Encode(text), plain.Encode(text)) {
				t.Errorf("ids %v, want %v", tok.Encode(text), plain.Encode(text))
			}
			if words := "a photo of 日本"; !slices.Equal(tok.Encode(words), plain.Encode(words)) {
				t.Errorf("ids %v, want %v", tok.Encode(words), plain.Encode(words))
			}
		})
	}
}

// OpenAI's file has merges alone: the vocabulary that follows from them is the
// published one.
func TestLoadOpenAIsLayout(t *testing.T) {
	published := loadFixture(t, "clip")
	merges := published.mergesText()
	_, body, _ := strings.Cut(string(merges), "\n")
	text := "\"bpe_simple_vocab_16e6.txt#version: 0.2\n" + body + "one more\nunused line\n"
	tok, err := Load(files{"bpe_simple_vocab_16e6.txt.gz": text}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tok.tokens, published.tokens) {
		t.Errorf("%d tokens that differ from the %d published", len(tok.tokens), len(published.tokens))
	}
	if !slices.Equal(tok.table, published.table) || tok.Cleaning() != OpenAI {
		t.Errorf("%d merges, cleaning %q, want %d, %q", len(tok.table), tok.Cleaning(), len(published.table), OpenAI)
	}
}

func TestLoadAddsTokens(t *testing.T) {
	f := small(t, "")
	plain, err := Load(f.write(t))
	if err != nil {
		t.Fatal(err)
	}
	n := plain.Size()
	config := fmt.Sprintf(`{"pad_token": "<PAD>", "added_tokens_decoder": {
		"%d": {"content": "<PAD>"}, "%d": {"content": "<image>"}, "%d": {"content": "<|endoftext|>"}}}`, n+1, n, n-1)
	tok, err := Load(f.with(files{"tokenizer_config.json": config}).write(t))
	if err != nil {
		t.Fatal(err)
	}
	if tok.Size() != n+2 || tok.Padding() != n+1 {
		t.Errorf("size %d, padding %d, want %d, %d", tok.Size(), tok.Padding(), n+2, n+1)
	}
	if got, want := tok.EncodeSpecial("<image>"), []int{n}; !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v", got, want)
	}
}

func TestReadStopsAtTheLimit(t *testing.T) {
	dir := files{"zeros.gz": string(make([]byte, 1<<20))}.write(t)
	path := filepath.Join(dir, "zeros.gz")
	if text, err := read(path, 1<<20); err != nil || len(text) != 1<<20 {
		t.Errorf("a file as long as the limit: %d bytes, error %v", len(text), err)
	}
	_, err := read(path, 1<<20-1)
	wantError(t, "a longer file", err, "more than 1048575 bytes")
}

func TestLoadErrors(t *testing.T) {
	clip, gpt2 := small(t, OpenAI), small(t, "")
	whole := fast(t, clip, true)
	change := func(old, new string) files {
		if !strings.Contains(whole, old) {
			t.Fatalf("tokenizer.json has no %s", old)
		}
		return files{"tokenizer.json": strings.Replace(whole, old, new, 1)}
	}
	config := func(text string) files { return clip.with(files{"tokenizer_config.json": text}) }
	for _, tt := range []struct {
		name  string
		files files
		want  string
	}{
		{"nothing", files{}, "has no tokenizer"},
		{"no merges", files{"vocab.json": "{}"}, "no merges.txt"},
		{"an empty vocabulary", clip.with(files{"vocab.json": "{}"}), "vocab.json: no tokens"},
		{"a vocabulary cut short", clip.with(files{"vocab.json": `{"a": 0`}), "vocab.json: unexpected end"},
		{"a vocabulary of text", clip.with(files{"vocab.json": `{"a": "b"}`}), "vocab.json"},
		{"a gap in the ids", clip.with(files{"vocab.json": `{"a": 0, "b": 2}`}), `vocab.json: token "b" has id 2, want 0 to 1`},
		{"a merge of three", clip.with(files{"merges.txt": "#version: 0.2\na b c\n"}), `merges.txt: line 2: "a b c" is no merge`},
		{"an empty line", clip.with(files{"merges.txt": "a b\n\nc d\n"}), "merges.txt: line 2"},
		{"merges of bytes", clip.with(files{"merges.txt": "a \xff\n"}), "merges.txt: not UTF-8"},
		{"a merge of no tokens", clip.with(files{"merges.txt": "qqq zzz\n"}), `no token "qqq"`},
		{"no gzip", files{"vocab.json.gz": "", "merges.txt": ""}.plain(), "vocab.json.gz: gzip"},
		{"an unknown class", config(`{"tokenizer_class": "T5Tokenizer"}`), `tokenizer_config.json: tokenizer_class is "T5Tokenizer"`},
		{"an unknown cleaning", config(`{"cleaning": "soap"}`), `tokenizer_config.json: cleaning is "soap"`},
		{"a prefix space", config(`{"add_prefix_space": true}`), "add_prefix_space"},
		{"an unknown special token", config(`{"eos_token": "</s>"}`), `no token "</s>"`},
		{"an unknown padding", config(`{"pad_token": "<pad>"}`), `no token "<pad>", the padding`},
		{"an added token of no id", config(`{"added_tokens_decoder": {"x": {"content": "y"}}}`), `key "x", want an id`},
		{"an added token of another id", config(`{"added_tokens_decoder": {"7": {"content": "a"}}}`), `token "a" is added with id 7`},
		{"an added token of no text", config(`{"added_tokens_decoder": {"7": {}}}`), "id 7 is empty"},
		{"GPT-2's vocabulary as CLIP's", gpt2.with(files{"tokenizer_config.json": `{"tokenizer_class": "CLIPTokenizer"}`}), `no token "<|startoftext|>"`},
		{"two families", files{"tokenizer.json": whole, "tokenizer_config.json": `{"tokenizer_class": "GPT2Tokenizer"}`}, "names GPT2Tokenizer"},
		{"another model", change(`"type": "BPE"`, `"type": "WordPiece"`), `tokenizer.json: model.type is "WordPiece"`},
		{"another suffix", change(`"end_of_word_suffix": "</w>"`, `"end_of_word_suffix": "_"`), `end_of_word_suffix is "_"`},
		{"dropout", change(`"dropout": null`, `"dropout": 0.1`), "dropout"},
		{"another normalizer", change(`{"type": "NFC"}`, `{"type": "NFKC"}`), "normalizer is [NFKC Replace Lowercase]"},
		{"another replacement", change(`"content": " "`, `"content": "_"`), `normalizer replaces`},
		{"another pattern", change(`"invert": true`, `"invert": false`), "pre_tokenizer splits by"},
		{"another splitter", change(`"type": "Split"`, `"type": "Whitespace"`), "pre_tokenizer is [Whitespace ByteLevel]"},
		{"another end", change(`"RobertaProcessing"`, `"BertProcessing"`), "post_processor is [BertProcessing]"},
		{"a merge of one", change(`"merges": [[`, `"merges": [["a"], [`), "model.merges[0]"},
		{"a merge of a number", change(`"merges": [[`, `"merges": [1, [`), "model.merges[0]"},
		{"no heading", files{"bpe_simple_vocab_16e6.txt": "a b\nc d\n"}, "the first line is"},
		{"a merge twice", files{"bpe_simple_vocab_16e6.txt": "#version\na b\na b\n"}, "merge 2"},
		{"a merge of unknown parts", files{"bpe_simple_vocab_16e6.txt": "#version\nab c\n"}, `no token "ab"`},
	} {
		dir := tt.files.write(t)
		if data, ok := tt.files["plain"]; ok { // a name in .gz without the packing
			if err := os.WriteFile(filepath.Join(dir, "vocab.json.gz"), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Load(dir)
		wantError(t, tt.name, err, tt.want)
		if err != nil && !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error %q names no file", tt.name, err)
		}
	}
	_, err := Load("missing")
	wantError(t, "no folder", err, "missing")
}

// plain makes vocab.json.gz hold what is no gzip.
func (f files) plain() files { return f.with(files{"plain": "{}"}) }

func TestSaveErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, "a file in place of a folder", loadFixture(t, "clip").Save(file), "file")
}
