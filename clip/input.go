package clip

import (
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Texts packs the ids of texts, start and end tokens included, into inputs of
// Text.Embed: ids (B, L), filled up with end tokens, and the indices of end
// tokens (B). length is L; 0 means as few as have all end tokens. What follows
// an end token may be cut off, the token itself may not.
func (c TextConfig) Texts(texts [][]int, length int) (ids, ends *tensor.Dense, err error) {
	last := 0
	at := make([]float32, len(texts))
	for i, t := range texts {
		if len(t) == 0 {
			return nil, nil, errors.Errorf("clip: text %d has no tokens, want a start and an end token", i)
		}
		for _, id := range t {
			if id < 0 || id >= c.Vocabulary {
				return nil, nil, errors.Errorf("clip: text %d has token %d, want less than %d", i, id, c.Vocabulary)
			}
		}
		end := c.End(t)
		if end >= c.Context {
			return nil, nil, errors.Errorf("clip: text %d has %d tokens up to its end, want at most %d", i, end+1, c.Context)
		}
		at[i] = float32(end)
		last = max(last, end)
	}
	if length == 0 {
		length = last + 1
	}
	if last >= length || length > c.Context {
		return nil, nil, errors.Errorf("clip: %d tokens up to the last end token do not fit %d of %d", last+1, length, c.Context)
	}
	if len(texts) == 0 {
		return nil, nil, errors.New("clip: there are no texts")
	}
	data := make([]float32, len(texts)*length)
	for i, t := range texts {
		row := data[i*length:][:length]
		for j := range row {
			row[j] = float32(c.padding())
			if j < len(t) {
				row[j] = float32(t[j])
			}
		}
	}
	return tensor.New(tensor.WithShape(len(texts), length), tensor.WithBacking(data)),
		tensor.New(tensor.WithShape(len(texts)), tensor.WithBacking(at)), nil
}

// padding fills texts up. It is never seen.
func (c TextConfig) padding() int {
	if c.EOS == legacyEOS {
		return 0
	}
	return c.EOS
}
