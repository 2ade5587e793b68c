package main

import (
	"slices"

	"github.com/spf13/pflag"

	"tessera/dalle"
)

// dalleSettings are the flags of "dalle train".
type dalleSettings struct {
	fitting
	data, vqvae, template, vocab   string
	val                            float64
	vocabSize, textTokens, holdOut int

	width, layers, heads           int
	positions                      string
	textLoss, textDropout, dropout float64
}

func (o *dalleSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&o.vqvae, "vqvae", "", "folder of the VQ-VAE that makes tokens of images")
	o.bindOut(f)
	bindVal(f, &o.val, "folders")
	f.IntVar(&o.holdOut, "hold-out", 0, "pairs of color and shape to leave out of training, of shapes")
	bindTemplate(f, &o.template)
	f.StringVar(&o.vocab, "vocab", "", "folder of a tokenizer of texts, instead of a new one made from the captions")
	f.IntVar(&o.vocabSize, "vocab-size", 1024, "tokens of a new tokenizer, at most; there are 514 for bytes")
	f.IntVar(&o.textTokens, "text-tokens", 0, "tokens of a text, at most; 0: those of the longest caption")
	c := dalle.Small()
	f.IntVar(&o.width, "width", c.Width, "width of the transformer, 96 for shapes unless given")
	f.IntVar(&o.layers, "layers", c.Layers, "blocks of the transformer")
	f.IntVar(&o.heads, "heads", c.Heads, "heads of attention")
	f.StringVar(&o.positions, "positions", c.Positions, "how places of the image are told apart: learned (a vector for each) or axial (rows and columns), which suits shapes")
	f.Float64Var(&o.textLoss, "text-loss", 0, "share of the text in the loss, 0.125 in DALL·E; 0: texts are only read")
	f.Float64Var(&o.textDropout, "text-dropout", c.TextDropout, "probability of training without the text, for --guidance")
	f.Float64Var(&o.dropout, "dropout", 0, "probability of zeroing a hidden unit")
	o.bindLength(f)
	o.fitting = fitting{batch: 128, lr: 1.5e-3, warmup: 0.1, weightDecay: 0.05, betas: []float64{0.9, 0.96}}
	o.fitting.bind(f, "images of a batch, 32 of shapes unless given", "an epoch")
}

// bindTemplate binds the flag of captions for data that has none.
func bindTemplate(f *pflag.FlagSet, template *string) {
	f.StringVar(template, "template", "a photo of {}", "caption of images without one, {} being their class")
}

// dalleDefaults are the values of flags that suit a data set. The outline of a
// shape takes more steps to learn than its color and place: small batches give
// them in the same time.
var dalleDefaults = map[string]map[string]string{
	"shapes":        {"epochs": "1", "width": "96", "batch": "32", "positions": "axial", "save-every": "500", "eval-every": "1000"},
	"shapes:N":      {"epochs": "8", "width": "96", "batch": "32", "positions": "axial"},
	"mnist":         {"epochs": "2"},
	"fashion-mnist": {"epochs": "2"},
	"cifar10":       {"epochs": "10"},
	"folder":        {"epochs": "20"},
}

// check reports the first value out of range.
func (o *dalleSettings) check() error {
	if err := o.fitting.check(); err != nil {
		return err
	}
	err := within(
		valShare(o.val),
		limited{"hold-out", float64(o.holdOut), o.holdOut >= 0, "0 or more"},
		limited{"vocab-size", float64(o.vocabSize), o.vocabSize >= 514 && o.vocabSize < 1<<20, "514 to 1048575"},
		limited{"text-tokens", float64(o.textTokens), o.textTokens == 0 || o.textTokens >= 3 && o.textTokens <= 1024, "3 to 1024, or 0"},
		limited{"width", float64(o.width), o.width >= 1 && o.width <= 1<<16, "1 to 65536"},
		limited{"layers", float64(o.layers), o.layers >= 1 && o.layers <= 1024, "1 to 1024"},
		limited{"heads", float64(o.heads), o.heads >= 1 && o.width%max(1, o.heads) == 0, "a divisor of --width"},
		aProbability("text-loss", o.textLoss),
		aProbability("text-dropout", o.textDropout),
		aProbability("dropout", o.dropout),
	)
	if err != nil {
		return err
	}
	if known := []string{dalle.Learned, dalle.Axial}; !slices.Contains(known, o.positions) {
		return unknown("kind of positions", o.positions, known)
	}
	return nil
}

// config is the configuration of a new model for tokenizers of the given sizes.
func (o *dalleSettings) config(textVocab, textTokens, imageVocab, imageTokens int) (dalle.Config, error) {
	c := dalle.Small()
	c.TextVocab, c.Padding, c.TextTokens = textVocab+1, textVocab, textTokens
	c.ImageVocab, c.ImageTokens = imageVocab, imageTokens
	c.Width, c.Layers, c.Heads = o.width, o.layers, o.heads
	c.Positions, c.TextLoss, c.TextDropout = o.positions, o.textLoss, o.textDropout
	c.Dropout, c.AttentionDropout = o.dropout, o.dropout
	return c, c.Validate()
}
