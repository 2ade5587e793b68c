package main

import (
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pkg/errors"

	"tessera/clip/bpe"
	"tessera/graph/safetensors"
)

// wordsFile lists the tokens of texts that a model knows, in the order of its
// rows. A model without it knows all that its tokenizer has.
const wordsFile = "words.json"

// words are the tokens that occur in the captions of a training: rows for others
// would never be learned.
type words struct {
	ids []int       // the tokenizer's, ascending
	row map[int]int // the model's, by the tokenizer's
}

func newWords(ids []int) (*words, error) {
	w := &words{ids, make(map[int]int, len(ids))}
	for i, id := range ids {
		if _, ok := w.row[id]; ok {
			return nil, errors.Errorf("token %d is there twice", id)
		}
		w.row[id] = i
	}
	return w, nil
}

// wordsOf collects the tokens of distinct texts, and counts those of the longest.
func wordsOf(t *bpe.Tokenizer, texts func(yield func(string) bool)) (w *words, longest int, err error) {
	known, ids := map[string]bool{}, map[int]bool{}
	for text := range texts {
		if known[text] {
			continue
		}
		known[text] = true
		found := t.Encode(text)
		longest = max(longest, len(found))
		for _, id := range found {
			ids[id] = true
		}
	}
	w, err = newWords(slices.Sorted(maps.Keys(ids)))
	return w, longest, err
}

// loadWords reads the list in dir, or returns all tokens where there is none.
func loadWords(dir string, t *bpe.Tokenizer) (*words, error) {
	path := filepath.Join(dir, wordsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		ids := make([]int, t.Size())
		for i := range ids {
			ids[i] = i
		}
		return newWords(ids)
	}
	if err != nil {
		return nil, errors.WithStack(err)
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return nil, errors.Wrap(err, path)
	}
	ids := make([]int, len(names))
	for i, name := range names {
		id, ok := t.ID(name)
		if !ok {
			return nil, errors.Errorf("%s: the tokenizer beside it has no token %q", path, name)
		}
		ids[i] = id
	}
	w, err := newWords(ids)
	return w, errors.Wrap(err, path)
}

func (w *words) save(dir string, t *bpe.Tokenizer) error {
	names := make([]string, len(w.ids))
	for i, id := range w.ids {
		names[i], _ = t.Token(id)
	}
	return safetensors.WriteAtomic(filepath.Join(dir, wordsFile), func(f io.Writer) error {
		e := json.NewEncoder(f)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return errors.WithStack(e.Encode(names))
	})
}
