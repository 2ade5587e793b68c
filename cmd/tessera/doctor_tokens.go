package main

import (
	"os"
	"path/filepath"

	"tessera/clip/bpe"
)

// tokenizer compares the tokenizer beside a model with its vocabulary and end
// token. It returns nil if there is none to compare.
func (e *examination) tokenizer(vocabulary, end int) {
	t := e.readTokenizer(vocabulary)
	if t == nil {
		return
	}
	e.endToken(t, end)
}

// readTokenizer checks the size of the tokenizer in the folder and returns it,
// nil if there is none.
func (e *examination) readTokenizer(vocabulary int) *bpe.Tokenizer {
	const check = "tokenizer"
	if !hasTokenizer(e.dir) {
		e.skip(check, "none in the folder")
		return nil
	}
	t, err := bpe.Load(e.dir)
	switch {
	case err != nil:
		e.wrong(check, "", "%v", err)
		return nil
	case t.Size() > vocabulary:
		e.wrong(check, "it belongs to another model", "%d tokens, want at most the %d of the model's table", t.Size(), vocabulary)
	case t.Size() < vocabulary:
		e.warn(check, "rows beyond are never read; is it another model's?", "%d tokens, the model's table has %d", t.Size(), vocabulary)
	default:
		e.ok(check, "%d tokens, as many as the model's table has rows", t.Size())
	}
	return t
}

// endToken compares the configured end of a text with the tokenizer's.
func (e *examination) endToken(t *bpe.Tokenizer, configured int) {
	const check = "end token"
	if configured != t.End() {
		e.wrong(check, "set eos_token_id in config.json", "eos_token_id is %d, want %d, with which the tokenizer ends texts", configured, t.End())
		return
	}
	e.ok(check, "%d, as the tokenizer has it", configured)
}

func hasTokenizer(dir string) bool {
	for _, pattern := range []string{"tokenizer.json*", "vocab.json*", "bpe_simple_vocab*"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
