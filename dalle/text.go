package dalle

import "github.com/pkg/errors"

// FillText writes the tokens of a text to row (T), the input of a model, and
// fills up with padding. No tokens stand for no text.
func (c Config) FillText(row []float32, ids []int) error {
	switch {
	case len(ids) > c.TextTokens:
		return errors.Errorf("dalle: a text of %d tokens, want at most %d", len(ids), c.TextTokens)
	case len(ids) < c.TextTokens && c.Padding == NoPadding:
		return errors.Errorf("dalle: a text of %d tokens, want %d, for the model has no padding", len(ids), c.TextTokens)
	}
	for i := range row {
		row[i] = float32(c.Padding)
		if i < len(ids) {
			if ids[i] == c.Padding && c.Padding != NoPadding || ids[i] < 0 || ids[i] >= c.TextVocab {
				return errors.Errorf("dalle: token %d of a text is %d, want 0 to %d, but not padding", i, ids[i], c.TextVocab-1)
			}
			row[i] = float32(ids[i])
		}
	}
	return nil
}
