package bpe

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// maxFile bounds a file of a tokenizer, unpacked, in bytes. The largest
// published are about 20 MB.
const maxFile = 128 << 20

// find returns the path of the file name in dir, or of name.gz, or nothing
// where there is neither.
func find(dir, name string) string {
	for _, n := range []string{name, name + ".gz"} {
		path := filepath.Join(dir, n)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
	}
	return ""
}

// read returns the contents of a file, unpacked if its name ends in .gz; they
// may be limit bytes long.
func read(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, errors.Wrap(err, "gzip")
		}
		r = z
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > limit {
		return nil, errors.Errorf("more than %d bytes", limit)
	}
	return text, nil
}

// parse reads the file at path and parses it; errors name it.
func parse[T any](path string, parse func([]byte) (T, error)) (T, error) {
	text, err := read(path, maxFile)
	if err == nil {
		var t T
		if t, err = parse(text); err == nil {
			return t, nil
		}
	}
	var none T
	var inFile *os.PathError // names the file itself
	if errors.As(err, &inFile) {
		return none, errors.Wrap(err, "bpe")
	}
	return none, errors.Wrapf(err, "bpe: %s", path)
}

// parseJSON decodes one JSON value.
func parseJSON[T any](text []byte) (T, error) {
	var t T
	err := json.Unmarshal(text, &t)
	return t, err
}

// parseVocab reads a vocab.json: an object of ids by token.
func parseVocab(text []byte) (map[string]int, error) {
	vocab, err := parseJSON[map[string]int](text)
	if err == nil && len(vocab) == 0 {
		err = errors.New("no tokens")
	}
	return vocab, err
}

// parseMerges reads a merges.txt: a comment that begins with #version, then one
// pair a line, parted by a space.
func parseMerges(text []byte) ([][2]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8 text")
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	table := make([][2]string, 0, len(lines))
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		if i == 0 && strings.HasPrefix(line, "#version") || line == "" && i == len(lines)-1 {
			continue
		}
		m, err := parseMerge(line)
		if err != nil {
			return nil, errors.Wrapf(err, "line %d", i+1)
		}
		table = append(table, m)
	}
	return table, nil
}

func parseMerge(s string) ([2]string, error) {
	left, right, found := strings.Cut(s, " ")
	if !found || left == "" || right == "" || strings.Contains(right, " ") {
		return [2]string{}, errors.Errorf("%q is no merge, want two tokens and one space", s)
	}
	return [2]string{left, right}, nil
}

// simpleMerges is how many of its lines OpenAI's tokenizer uses: 49,152 tokens
// less the bytes' and the special ones. It forgets that each byte has two.
const simpleMerges = 49152 - 256 - 2

// A table is a vocabulary with merges.
type table struct {
	vocab  map[string]int
	merges [][2]string
}

// parseSimple reads OpenAI's bpe_simple_vocab_16e6.txt: a heading, then one
// merge a line. The vocabulary follows from them: bytes, bytes at a word's end,
// merges, special tokens.
func parseSimple(text []byte) (table, error) {
	heading, body, found := bytes.Cut(text, []byte("\n"))
	if !found || !bytes.Contains(heading, []byte("#version")) {
		return table{}, errors.Errorf("the first line is %.60q, want a heading with #version", heading)
	}
	end := 0
	for range simpleMerges {
		n := bytes.IndexByte(body[end:], '\n')
		if n < 0 {
			end = len(body)
			break
		}
		end += n + 1
	}
	merges, err := parseMerges(body[:end])
	if err != nil {
		return table{}, errors.Wrap(err, "below the heading")
	}
	t := table{vocab: make(map[string]int, len(merges)+514), merges: merges}
	a := newAlphabet()
	for _, suffix := range []string{"", wordEnd} {
		for _, b := range a.sorted {
			t.vocab[a.symbol(b)+suffix] = len(t.vocab)
		}
	}
	for i, m := range merges {
		token := m[0] + m[1]
		if _, ok := t.vocab[token]; ok {
			return table{}, errors.Errorf("merge %d, %q + %q, makes a token that is there already", i+1, m[0], m[1])
		}
		t.vocab[token] = len(t.vocab)
	}
	for _, s := range []string{startOfText, endOfText} {
		if _, ok := t.vocab[s]; ok {
			return table{}, errors.Errorf("a merge makes %q", s)
		}
		t.vocab[s] = len(t.vocab)
	}
	return t, nil
}
