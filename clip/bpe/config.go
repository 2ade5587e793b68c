package bpe

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// config is what a tokenizer_config.json tells.
type config struct {
	Class       string               `json:"tokenizer_class"`
	Start       tokenName            `json:"bos_token"`
	End         tokenName            `json:"eos_token"`
	Padding     tokenName            `json:"pad_token"`
	Special     []tokenName          `json:"additional_special_tokens"`
	Added       map[string]tokenName `json:"added_tokens_decoder"` // by id
	PrefixSpace bool                 `json:"add_prefix_space"`
	Cleaning    Cleaning             `json:"cleaning"` // our own key
}

// tokenName is a token as files name it: "text" or {"content": "text"}; null is
// none.
type tokenName string

func (n *tokenName) UnmarshalJSON(text []byte) error {
	if !strings.HasPrefix(string(text), "{") {
		return json.Unmarshal(text, (*string)(n))
	}
	token, err := parseJSON[struct {
		Content string `json:"content"`
	}](text)
	*n = tokenName(token.Content)
	return err
}

// parseConfig reads a tokenizer_config.json.
func parseConfig(text []byte) (config, error) {
	c, err := parseJSON[config](text)
	switch {
	case err != nil:
	case c.PrefixSpace:
		err = errors.New("add_prefix_space is true, and not supported")
	case c.Cleaning != "" && c.Cleaning != OpenAI && c.Cleaning != HuggingFace:
		err = errors.Errorf("cleaning is %q, want %q or %q", c.Cleaning, OpenAI, HuggingFace)
	}
	return c, err
}

// The families of tokenizers.
const (
	familyCLIP = "CLIPTokenizer"
	familyGPT2 = "GPT2Tokenizer"
)

// family is what the configuration says the tokenizer is; empty if nothing.
func (c config) family() (string, error) {
	switch f := strings.TrimSuffix(c.Class, "Fast"); f {
	case "", familyCLIP, familyGPT2:
		return f, nil
	}
	return "", errors.Errorf("tokenizer_class is %q, want %s or %s", c.Class, familyCLIP, familyGPT2)
}

// add puts the configuration's added tokens into vocab.
func (c config) add(vocab map[string]int) error {
	for key, token := range c.Added {
		id, err := strconv.Atoi(key)
		if err != nil {
			return errors.Errorf("added_tokens_decoder has key %q, want an id", key)
		}
		if err := addToken(vocab, string(token), id); err != nil {
			return err
		}
	}
	return nil
}

func addToken(vocab map[string]int, token string, id int) error {
	if was, ok := vocab[token]; ok && was != id {
		return errors.Errorf("token %q is added with id %d, but has id %d in the vocabulary", token, id, was)
	}
	if token == "" {
		return errors.Errorf("the token added with id %d is empty", id)
	}
	vocab[token] = id
	return nil
}

// roles are the special tokens of a tokenizer of the given family.
func (c config) roles(family string) roles {
	r := roles{start: string(c.Start), end: string(c.End), padding: string(c.Padding)}
	if r.end == "" {
		r.end = endOfText
	}
	if r.start == "" {
		r.start = r.end
		if family == familyCLIP {
			r.start = startOfText
		}
	}
	for _, s := range c.Special {
		r.others = append(r.others, string(s))
	}
	for _, s := range c.Added {
		r.others = append(r.others, string(s))
	}
	return r
}
