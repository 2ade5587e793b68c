package bpe

import (
	"github.com/pkg/errors"
)

// Load reads the tokenizer in dir: tokenizer.json, or vocab.json with
// merges.txt, or bpe_simple_vocab_16e6.txt, the first that is there, each with
// or without .gz. tokenizer_config.json, where there is one, names special
// tokens and tells CLIP from GPT-2; without it the vocabulary does, for only
// CLIP's marks the ends of words.
//
// CLIP's cleaning is what tokenizer_config.json names in the key "cleaning".
// Otherwise it is HuggingFace where tokenizer.json or a configuration of
// CLIPTokenizer says that the files are Hugging Face's, and else OpenAI.
func Load(dir string) (*Tokenizer, error) {
	c, configPath := config{}, find(dir, "tokenizer_config.json")
	if configPath != "" {
		var err error
		if c, err = parse(configPath, parseConfig); err != nil {
			return nil, err
		}
	}
	family, err := c.family()
	if err != nil {
		return nil, errors.Wrapf(err, "bpe: %s", configPath)
	}

	var t table
	path := find(dir, "tokenizer.json")
	vocabPath, mergesPath := find(dir, "vocab.json"), find(dir, "merges.txt")
	simplePath := find(dir, "bpe_simple_vocab_16e6.txt")
	switch {
	case path != "":
		fast, err := parse(path, parseFast)
		if err != nil {
			return nil, err
		}
		if family != "" && family != fast.family {
			return nil, errors.Errorf("bpe: %s has a pipeline of %s, but %s names %s", path, fast.family, configPath, family)
		}
		t, family = fast.table, fast.family
		for _, s := range fast.special {
			c.Special = append(c.Special, tokenName(s))
		}
		if c.Cleaning == "" {
			c.Cleaning = HuggingFace
		}
	case vocabPath != "" && mergesPath != "":
		path = vocabPath
		if t.vocab, err = parse(vocabPath, parseVocab); err != nil {
			return nil, err
		}
		if t.merges, err = parse(mergesPath, parseMerges); err != nil {
			return nil, err
		}
		if c.Cleaning == "" && family == familyCLIP {
			c.Cleaning = HuggingFace
		}
	case vocabPath != "":
		return nil, errors.Errorf("bpe: %s has vocab.json, but no merges.txt", dir)
	case simplePath != "":
		path = simplePath
		if t, err = parse(simplePath, parseSimple); err != nil {
			return nil, err
		}
	default:
		return nil, errors.Errorf("bpe: %s has no tokenizer: want tokenizer.json, vocab.json with merges.txt, or bpe_simple_vocab_16e6.txt.gz", dir)
	}

	if family == "" {
		family = t.family()
	}
	if family == familyGPT2 {
		c.Cleaning = ""
	} else if c.Cleaning == "" {
		c.Cleaning = OpenAI
	}
	if err := c.add(t.vocab); err != nil {
		return nil, errors.Wrapf(err, "bpe: %s", configPath)
	}
	tokenizer, err := build(t.vocab, t.merges, c.Cleaning, c.roles(family))
	return tokenizer, errors.Wrapf(err, "bpe: %s", path)
}

// family tells the tokenizer from its vocabulary.
func (t table) family() string {
	if _, ok := t.vocab["a"+wordEnd]; ok {
		return familyCLIP
	}
	return familyGPT2
}
