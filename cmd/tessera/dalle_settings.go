package main

import (
	"slices"

	"github.com/spf13/pflag"

	"tessera/dalle"
)

// dalleSettings are the flags of "dalle train".
type dalleSettings struct {
	data, out, vqvae, template, vocab string
	val                               float64
	vocabSize, textTokens, holdOut    int

	width, layers, heads           int
	positions                      string
	textLoss, textDropout, dropout float64

	epochs, steps, batch          int
	lr, warmup, weightDecay, clip float64
	betas                         []float64
	seed                          uint64
	keep, saveEvery, evals        int
	resume                        bool
}

func (o *dalleSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&o.vqvae, "vqvae", "", "folder of the VQ-VAE that makes tokens of images")
	f.StringVar(&o.out, "out", "", "folder of the results, new or empty")
	f.Float64Var(&o.val, "val", -1, "share of the training images held out for validation where the data has no such part; -1: 0.1 for folders, else 0")
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
	f.IntVar(&o.epochs, "epochs", 0, "passes over the training images (default by data set)")
	f.IntVar(&o.steps, "steps", 0, "optimizer steps, instead of epochs")
	f.IntVar(&o.batch, "batch", 128, "images of a batch, 32 of shapes unless given")
	f.Float64Var(&o.lr, "lr", 1.5e-3, "peak learning rate, which falls to 0 along half a cosine")
	f.Float64Var(&o.warmup, "warmup", 0.1, "share of the steps in which the learning rate rises")
	f.Float64Var(&o.weightDecay, "weight-decay", 0.05, "decoupled weight decay, of matrices")
	f.Float64SliceVar(&o.betas, "betas", []float64{0.9, 0.96}, "AdamW's decay of its two moments")
	f.Float64Var(&o.clip, "clip", 1, "largest norm of the gradient; 0: any")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	f.IntVar(&o.keep, "keep", 3, "newest checkpoints to keep; 0: all")
	f.IntVar(&o.saveEvery, "save-every", 0, "steps between checkpoints; 0: an epoch")
	f.IntVar(&o.evals, "eval-every", 0, "steps between validations; 0: an epoch")
	f.BoolVar(&o.resume, "resume", false, "go on from the last checkpoint in --out; other flags may be left out")
}

// bindTemplate binds the flag of captions for data that has none.
func bindTemplate(f *pflag.FlagSet, template *string) {
	f.StringVar(template, "template", "a photo of {}", "caption of images without one, {} being their class")
}

// dalleDefaults are the values of flags that suit a data set. The outline of a
// shape takes more steps to learn than its color and place: small batches give
// them in the same time.
var dalleDefaults = map[string]map[string]string{
	"shapes":        {"epochs": "8", "width": "96", "batch": "32", "positions": "axial"},
	"mnist":         {"epochs": "2"},
	"fashion-mnist": {"epochs": "2"},
	"cifar10":       {"epochs": "10"},
	"folder":        {"epochs": "20"},
}

// check reports the first value out of range.
func (o *dalleSettings) check() error {
	for _, x := range []struct {
		flag  string
		value float64
		ok    bool
		want  string
	}{
		{"val", o.val, o.val == -1 || o.val >= 0 && o.val < 1, "at least 0 and less than 1"},
		{"hold-out", float64(o.holdOut), o.holdOut >= 0, "0 or more"},
		{"vocab-size", float64(o.vocabSize), o.vocabSize >= 514 && o.vocabSize < 1<<20, "514 to 1048575"},
		{"text-tokens", float64(o.textTokens), o.textTokens == 0 || o.textTokens >= 3 && o.textTokens <= 1024, "3 to 1024, or 0"},
		{"width", float64(o.width), o.width >= 1 && o.width <= 1<<16, "1 to 65536"},
		{"layers", float64(o.layers), o.layers >= 1 && o.layers <= 1024, "1 to 1024"},
		{"heads", float64(o.heads), o.heads >= 1 && o.width%max(1, o.heads) == 0, "a divisor of --width"},
		{"text-loss", o.textLoss, o.textLoss >= 0 && o.textLoss < 1, "at least 0 and less than 1"},
		{"text-dropout", o.textDropout, o.textDropout >= 0 && o.textDropout < 1, "at least 0 and less than 1"},
		{"dropout", o.dropout, o.dropout >= 0 && o.dropout < 1, "at least 0 and less than 1"},
		{"epochs", float64(o.epochs), o.epochs >= 0, "0 or more"},
		{"steps", float64(o.steps), o.steps >= 0, "0 or more"},
		{"batch", float64(o.batch), o.batch >= 1, "1 or more"},
		{"lr", o.lr, o.lr > 0 && o.lr < 1e6, "more than 0"},
		{"warmup", o.warmup, o.warmup >= 0 && o.warmup <= 1, "0 to 1"},
		{"weight-decay", o.weightDecay, o.weightDecay >= 0 && o.weightDecay < 1e6, "0 or more"},
		{"clip", o.clip, o.clip >= 0, "0 or more"},
	} {
		if !x.ok {
			return usagef("--%s is %g, want %s", x.flag, x.value, x.want)
		}
	}
	if len(o.betas) != 2 || !(o.betas[0] > 0 && o.betas[0] < 1 && o.betas[1] > 0 && o.betas[1] < 1) {
		return usagef("--betas is %v, want two numbers between 0 and 1", o.betas)
	}
	if o.epochs == 0 && o.steps == 0 {
		return usagef("--epochs and --steps are both 0")
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
