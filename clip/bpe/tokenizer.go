package bpe

import (
	"maps"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// The special tokens of the published vocabularies.
const (
	startOfText = "<|startoftext|>"
	endOfText   = "<|endoftext|>"
)

// A Tokenizer maps text to token ids and back. It never changes: one may serve
// any number of goroutines.
type Tokenizer struct {
	cleaning Cleaning // empty for GPT-2
	roles    roles

	vocab   map[string]int // by spelling
	tokens  []string       // spellings, by id
	texts   []string       // what they decode to, by id; empty for special tokens
	special map[string]int

	table  [][2]string // merges by rank
	merges merges
	inner  [256]int32 // symbol of a byte inside a word
	last   [256]int32 // and at its end

	start, end, padding int
}

// roles spells the tokens that have one.
type roles struct {
	start, end string
	padding    string   // any token; empty: the cleaning's own
	others     []string // further special tokens, by id
}

// CLIP returns the tokenizer of a vocabulary with merges by rank. The
// vocabulary's ids are 0 to its size less one; it holds every byte's symbol,
// inside a word and at its end, what the merges join and are made of, and the
// tokens <|startoftext|> and <|endoftext|>.
func CLIP(vocab map[string]int, merges [][2]string, c Cleaning) (*Tokenizer, error) {
	t, err := build(vocab, merges, c, roles{start: startOfText, end: endOfText})
	return t, errors.Wrap(err, "bpe")
}

// GPT2 returns the tokenizer of a vocabulary with merges by rank. The
// vocabulary's ids are 0 to its size less one; it holds every byte's symbol,
// what the merges join and are made of, and the token <|endoftext|>.
func GPT2(vocab map[string]int, merges [][2]string) (*Tokenizer, error) {
	t, err := build(vocab, merges, "", roles{start: endOfText, end: endOfText})
	return t, errors.Wrap(err, "bpe")
}

func build(vocab map[string]int, table [][2]string, c Cleaning, r roles) (*Tokenizer, error) {
	t := &Tokenizer{
		roles:   r,
		vocab:   maps.Clone(vocab),
		tokens:  make([]string, len(vocab)),
		texts:   make([]string, len(vocab)),
		special: map[string]int{},
		table:   table,
		merges:  make(merges, len(table)),
	}
	seen := make([]bool, len(vocab))
	for token, id := range vocab {
		if id < 0 || id >= len(vocab) {
			return nil, errors.Errorf("token %q has id %d, want 0 to %d for %d tokens", token, id, len(vocab)-1, len(vocab))
		}
		if seen[id] {
			pair := []string{token, t.tokens[id]}
			slices.Sort(pair)
			return nil, errors.Errorf("tokens %q and %q share id %d", pair[0], pair[1], id)
		}
		seen[id] = true
		t.tokens[id] = token
	}
	for _, name := range append([]string{r.start, r.end}, r.others...) {
		if err := t.addSpecial(name); err != nil {
			return nil, err
		}
	}
	if _, ok := t.vocab[r.padding]; !ok && r.padding != "" {
		return nil, errors.Errorf("no token %q, the padding, among the %d of the vocabulary", r.padding, len(vocab))
	}
	t.start, t.end = t.special[r.start], t.special[r.end]
	t.roles.others = nil
	for _, name := range t.tokens {
		if _, ok := t.special[name]; ok && name != r.start && name != r.end {
			t.roles.others = append(t.roles.others, name)
		}
	}
	if err := t.setCleaning(c); err != nil {
		return nil, err
	}
	if err := t.setSymbols(); err != nil {
		return nil, err
	}
	if err := t.setMerges(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tokenizer) addSpecial(name string) error {
	id, ok := t.vocab[name]
	if !ok {
		return errors.Errorf("no token %q among the %d of the vocabulary", name, len(t.vocab))
	}
	t.special[name] = id
	return nil
}

func (t *Tokenizer) setCleaning(c Cleaning) error {
	switch c {
	case "", OpenAI, HuggingFace:
	default:
		return errors.Errorf("unknown cleaning %q, want %q or %q", c, OpenAI, HuggingFace)
	}
	t.cleaning = c
	switch {
	case t.roles.padding != "":
		t.padding = t.vocab[t.roles.padding]
	case c == OpenAI:
		t.padding = 0
	default:
		t.padding = t.end
	}
	return nil
}

// setSymbols finds the bytes' symbols and what tokens decode to.
func (t *Tokenizer) setSymbols() error {
	a := newAlphabet()
	for b := range 256 {
		symbol := a.symbol(byte(b))
		for _, to := range []struct {
			symbol string
			id     *int32
		}{{symbol, &t.inner[b]}, {symbol + t.suffix(), &t.last[b]}} {
			id, ok := t.vocab[to.symbol]
			if !ok {
				return errors.Errorf("no token %q, the symbol of byte 0x%02x, among the %d of the vocabulary", to.symbol, b, len(t.vocab))
			}
			*to.id = int32(id)
		}
	}
	for id, token := range t.tokens {
		if _, ok := t.special[token]; ok {
			continue
		}
		if word, ok := strings.CutSuffix(token, wordEnd); ok && t.cleaning != "" {
			t.texts[id] = a.text(word) + " "
		} else {
			t.texts[id] = a.text(token)
		}
	}
	return nil
}

// suffix is what the last symbol of a word ends with.
func (t *Tokenizer) suffix() string {
	if t.cleaning == "" {
		return ""
	}
	return wordEnd
}

func (t *Tokenizer) setMerges() error {
	for rank, m := range t.table {
		var ids [3]int32
		for i, token := range [3]string{m[0], m[1], m[0] + m[1]} {
			id, ok := t.vocab[token]
			if !ok {
				return errors.Errorf("merge %d, %q + %q: no token %q in the vocabulary", rank+1, m[0], m[1], token)
			}
			if m[0] == "" || m[1] == "" {
				return errors.Errorf("merge %d, %q + %q: one part is empty", rank+1, m[0], m[1])
			}
			ids[i] = int32(id)
		}
		// Of a pair that is listed twice the last rank counts, as in the
		// published readers.
		t.merges[pair{ids[0], ids[1]}] = merge{rank: int32(rank), id: ids[2]}
	}
	return nil
}

// WithCleaning returns the tokenizer with another cleaning. It fails for
// GPT-2's, which cleans nothing.
func (t *Tokenizer) WithCleaning(c Cleaning) (*Tokenizer, error) {
	if t.cleaning == "" || c == "" {
		return nil, errors.Errorf("bpe: cleaning %q for a tokenizer of cleaning %q: only CLIP's have a choice", c, t.cleaning)
	}
	n := *t
	if err := n.setCleaning(c); err != nil {
		return nil, errors.Wrap(err, "bpe")
	}
	return &n, nil
}

// WithSpecial returns the tokenizer with more special tokens, which take the
// ids from Size on in the order given; those it knows keep theirs.
func (t *Tokenizer) WithSpecial(names ...string) (*Tokenizer, error) {
	n := *t
	n.vocab, n.special = maps.Clone(t.vocab), maps.Clone(t.special)
	n.tokens, n.texts = slices.Clone(t.tokens), slices.Clone(t.texts)
	n.roles.others = slices.Clone(t.roles.others)
	for _, name := range names {
		if name == "" {
			return nil, errors.New("bpe: a special token is empty")
		}
		if _, ok := n.special[name]; ok {
			continue
		}
		if _, ok := n.vocab[name]; ok {
			return nil, errors.Errorf("bpe: token %q is in the vocabulary already, and not special", name)
		}
		n.vocab[name], n.special[name] = len(n.tokens), len(n.tokens)
		n.tokens, n.texts = append(n.tokens, name), append(n.texts, "")
		n.roles.others = append(n.roles.others, name)
	}
	return &n, nil
}

// Size is the number of tokens V; ids are 0 to V-1.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Cleaning is what is done to text first; empty for GPT-2's tokenizer.
func (t *Tokenizer) Cleaning() Cleaning { return t.cleaning }

// Start is the id of the token before a text; GPT-2 has no own and uses End.
func (t *Tokenizer) Start() int { return t.start }

// End is the id of the token after a text.
func (t *Tokenizer) End() int { return t.end }

// Padding is the id that Pad fills up with: 0 in OpenAI's cleaning, else End,
// unless the tokenizer's files name one.
func (t *Tokenizer) Padding() int { return t.padding }

// ID is the id of a token by its spelling in the vocabulary.
func (t *Tokenizer) ID(token string) (id int, ok bool) {
	id, ok = t.vocab[token]
	return id, ok
}

// Token is the spelling of an id in the vocabulary.
func (t *Tokenizer) Token(id int) (token string, ok bool) {
	if id < 0 || id >= len(t.tokens) {
		return "", false
	}
	return t.tokens[id], true
}
