package main

import (
	"path/filepath"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/bpe"
	"tessera/dalle"
	"tessera/vqvae"
)

func newDALLE() *cobra.Command {
	cmd := group("dalle", "Draw images from texts with DALL·E",
		"Draw images from texts: a transformer predicts the tokens of a VQ-VAE from those\nof a text (DALL·E, arXiv:2102.12092).")
	cmd.AddCommand(newDALLETrain(), newDALLEEval(), newDALLEGenerate())
	return cmd
}

// painter is all that drawing an image from a text takes.
type painter struct {
	*dalle.Model
	text  *bpe.Tokenizer
	words *words
	image *vqvae.Model
}

// imageFolder holds the VQ-VAE in the folder of a painter.
const imageFolder = "vqvae"

// loadPainter reads the model in dir with the tokenizers beside it.
func loadPainter(dir string) (*painter, error) {
	if dir == "" {
		return nil, usagef("--model is missing: name the folder of a model")
	}
	m, err := dalle.Load(dir)
	if err != nil {
		return nil, err
	}
	text, err := bpe.Load(dir)
	if err != nil {
		return nil, err
	}
	words, err := loadWords(dir, text)
	if err != nil {
		return nil, err
	}
	image, err := loadVQVAE(filepath.Join(dir, imageFolder))
	if err != nil {
		return nil, err
	}
	p := &painter{m, text, words, image}
	return p, errors.Wrap(p.validate(), dir)
}

// validate compares the model's vocabularies with those of its tokenizers.
func (p *painter) validate() error {
	if p.image.NumEmbeddings != p.ImageVocab || p.image.Tokens() != p.ImageTokens {
		return errors.Errorf("the model wants images of %d tokens of %d, its VQ-VAE has %d of %d",
			p.ImageTokens, p.ImageVocab, p.image.Tokens(), p.image.NumEmbeddings)
	}
	if n := len(p.words.ids); n+1 != p.TextVocab || p.Padding != n {
		return errors.Errorf("the model wants %d text tokens of which %d is padding, beside it are %d and no padding", p.TextVocab, p.Padding, n)
	}
	return nil
}

// save writes the model and its tokenizers to dir.
func (p *painter) save(dir string) error {
	if err := p.Model.Save(dir); err != nil {
		return err
	}
	if err := p.text.Save(dir); err != nil {
		return err
	}
	if err := p.words.save(dir, p.text); err != nil {
		return err
	}
	return p.image.Save(filepath.Join(dir, imageFolder))
}

// encode turns a text into the model's tokens. It leaves out those that the
// model does not know, and tells whether the rest had to be cut.
func (p *painter) encode(text string) (ids []int, unknown []string, cut bool) {
	for _, id := range p.text.Encode(text) {
		if _, ok := p.words.row[id]; ok {
			ids = append(ids, id)
			continue
		}
		token, _ := p.text.Token(id)
		unknown = append(unknown, token)
	}
	if cut = len(ids) > p.TextTokens; cut {
		ids = p.text.Pad(ids, p.TextTokens)
	}
	for i, id := range ids {
		ids[i] = p.words.row[id]
	}
	return ids, unknown, cut
}
