package bpe

import (
	"encoding/json"

	"github.com/pkg/errors"
)

// fastTable is what a tokenizer.json holds.
type fastTable struct {
	table
	family  string
	special []string // added tokens
}

// fastFile is the layout of a tokenizer.json, as far as it is read.
type fastFile struct {
	Added []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
	} `json:"added_tokens"`
	Normalizer    *fastStep `json:"normalizer"`
	PreTokenizer  *fastStep `json:"pre_tokenizer"`
	PostProcessor *fastStep `json:"post_processor"`
	Model         struct {
		Type         string            `json:"type"`
		Vocab        map[string]int    `json:"vocab"`
		Merges       []json.RawMessage `json:"merges"`
		Suffix       string            `json:"end_of_word_suffix"`
		Prefix       string            `json:"continuing_subword_prefix"`
		Dropout      float64           `json:"dropout"`
		ByteFallback bool              `json:"byte_fallback"`
		IgnoreMerges bool              `json:"ignore_merges"`
	} `json:"model"`
}

// fastStep is a step of a pipeline, or a sequence of steps.
type fastStep struct {
	Type          string     `json:"type"`
	Normalizers   []fastStep `json:"normalizers"`
	PreTokenizers []fastStep `json:"pretokenizers"`
	Processors    []fastStep `json:"processors"`
	Pattern       struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
	Content     string `json:"content"`
	Behavior    string `json:"behavior"`
	Invert      bool   `json:"invert"`
	PrefixSpace bool   `json:"add_prefix_space"`
	UseRegex    *bool  `json:"use_regex"`
}

// steps are the step's own, sequences unrolled.
func (s *fastStep) steps() []fastStep {
	if s == nil {
		return nil
	}
	if s.Type != "Sequence" {
		return []fastStep{*s}
	}
	var all []fastStep
	for _, list := range [][]fastStep{s.Normalizers, s.PreTokenizers, s.Processors} {
		for i := range list {
			all = append(all, list[i].steps()...)
		}
	}
	return all
}

// parseFast reads the tokenizer.json of a CLIPTokenizerFast or a
// GPT2TokenizerFast and fails for any other.
func parseFast(text []byte) (fastTable, error) {
	f, err := parseJSON[fastFile](text)
	if err != nil {
		return fastTable{}, err
	}
	t := fastTable{table: table{vocab: f.Model.Vocab}}
	if t.family, err = f.family(); err != nil {
		return fastTable{}, err
	}
	if len(t.vocab) == 0 {
		return fastTable{}, errors.New("model.vocab has no tokens")
	}
	for i, raw := range f.Model.Merges {
		m, err := parseFastMerge(raw)
		if err != nil {
			return fastTable{}, errors.Wrapf(err, "model.merges[%d]", i)
		}
		t.merges = append(t.merges, m)
	}
	for i, a := range f.Added {
		if err := addToken(t.vocab, a.Content, a.ID); err != nil {
			return fastTable{}, errors.Wrapf(err, "added_tokens[%d]", i)
		}
		t.special = append(t.special, a.Content)
	}
	return t, nil
}

// parseFastMerge reads "left right", or ["left", "right"] as newer files have.
func parseFastMerge(raw json.RawMessage) ([2]string, error) {
	if parts, err := parseJSON[[]string](raw); err == nil {
		if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
			return [2]string{}, errors.Errorf("%.60s is no merge, want two tokens", raw)
		}
		return [2]string{parts[0], parts[1]}, nil
	}
	line, err := parseJSON[string](raw)
	if err != nil {
		return [2]string{}, errors.Errorf("%.60s is no merge, want two tokens", raw)
	}
	return parseMerge(line)
}

// clipPattern is the pattern of a CLIPTokenizerFast.
const clipPattern = `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`

// family tells whose pipeline the file holds. It is strict: a step more or less
// would give other ids.
func (f *fastFile) family() (string, error) {
	m := &f.Model
	switch {
	case m.Type != "BPE" && m.Type != "":
		return "", errors.Errorf("model.type is %q, want BPE", m.Type)
	case m.Prefix != "" || m.Dropout != 0 || m.ByteFallback || m.IgnoreMerges:
		return "", errors.New("model has continuing_subword_prefix, dropout, byte_fallback or ignore_merges: none is supported")
	}
	switch m.Suffix {
	case wordEnd:
		return familyCLIP, f.checkCLIP()
	case "":
		return familyGPT2, f.checkGPT2()
	}
	return "", errors.Errorf("model.end_of_word_suffix is %q, want %q or none", m.Suffix, wordEnd)
}

func (f *fastFile) checkCLIP() error {
	if got := kinds(f.Normalizer); got != "NFC Replace Lowercase" {
		return errors.Errorf("normalizer is [%s], want CLIP's [NFC Replace Lowercase]", got)
	}
	if r := f.Normalizer.steps()[1]; r.Pattern.Regex != `\s+` || r.Content != " " {
		return errors.Errorf("normalizer replaces %q by %q, want CLIP's %q by %q", r.Pattern.Regex, r.Content, `\s+`, " ")
	}
	if got := kinds(f.PreTokenizer); got != "Split ByteLevel" {
		return errors.Errorf("pre_tokenizer is [%s], want CLIP's [Split ByteLevel]", got)
	}
	steps := f.PreTokenizer.steps()
	if s := steps[0]; s.Pattern.Regex != clipPattern || s.Behavior != "Removed" || !s.Invert {
		return errors.Errorf("pre_tokenizer splits by %q (%s, invert %t), want CLIP's %q (Removed, invert true)",
			s.Pattern.Regex, s.Behavior, s.Invert, clipPattern)
	}
	if steps[1].PrefixSpace {
		return errors.New("pre_tokenizer has add_prefix_space, which CLIP's has not")
	}
	switch got := kinds(f.PostProcessor); got {
	case "RobertaProcessing", "TemplateProcessing":
		return nil
	default:
		return errors.Errorf("post_processor is [%s], want CLIP's [RobertaProcessing]", got)
	}
}

func (f *fastFile) checkGPT2() error {
	if got := kinds(f.Normalizer); got != "" {
		return errors.Errorf("normalizer is [%s], want GPT-2's, none", got)
	}
	if got := kinds(f.PreTokenizer); got != "ByteLevel" {
		return errors.Errorf("pre_tokenizer is [%s], want GPT-2's [ByteLevel]", got)
	}
	if s := f.PreTokenizer.steps()[0]; s.PrefixSpace || s.UseRegex != nil && !*s.UseRegex {
		return errors.New("pre_tokenizer has add_prefix_space or no regex, unlike GPT-2's")
	}
	if got := kinds(f.PostProcessor); got != "" && got != "ByteLevel" {
		return errors.Errorf("post_processor is [%s], want GPT-2's [ByteLevel]", got)
	}
	return nil
}

// kinds are the types of a pipeline's steps.
func kinds(s *fastStep) string {
	var names string
	for i, step := range s.steps() {
		if i > 0 {
			names += " "
		}
		names += step.Type
	}
	return names
}
