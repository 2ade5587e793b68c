package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"tessera/vqvae"
)

// vqvaeSettings are the flags of "vqvae train".
type vqvaeSettings struct {
	data, out, preset, quantizer string
	codes, residual              int
	commitment, val              float64

	epochs, steps, batch            int
	lr, warmup, weightDecay, clip   float64
	augment                         []string
	seed                            uint64
	workers, keep, saveEvery, evals int
	resume                          bool
}

func (o *vqvaeSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&o.out, "out", "", "folder of the results, new or empty")
	f.Float64Var(&o.val, "val", -1, "share of the training images held out for validation where the data has no such part; -1: 0.1 for folders, else 0")
	f.StringVar(&o.preset, "preset", "", "size of the model: "+strings.Join(vqvae.Presets(), ", ")+" (default by data set)")
	f.StringVar(&o.quantizer, "quantizer", vqvae.EMA, "kind of codebook: "+strings.Join(vqvae.Quantizers(), ", "))
	f.IntVar(&o.codes, "codes", 512, "codes of the codebook, 1024 for shapes unless given; fsq takes the nearest number it can have")
	f.IntVar(&o.residual, "residual-blocks", 0, "residual blocks of the encoder and of the decoder")
	f.Float64Var(&o.commitment, "commitment", 0.25, "weight of the encoder's distance from its codes")
	f.IntVar(&o.epochs, "epochs", 0, "passes over the training images (default by data set)")
	f.IntVar(&o.steps, "steps", 0, "optimizer steps, instead of epochs")
	f.IntVar(&o.batch, "batch", 64, "images of a batch, 32 of shapes unless given")
	f.Float64Var(&o.lr, "lr", 2e-3, "peak learning rate, which falls to 0 along half a cosine")
	f.Float64Var(&o.warmup, "warmup", 0.05, "share of the steps in which the learning rate rises")
	f.Float64Var(&o.weightDecay, "weight-decay", 0, "decoupled weight decay")
	f.Float64Var(&o.clip, "clip", 1, "largest norm of the gradient; 0: any")
	f.StringSliceVar(&o.augment, "augment", []string{"none"}, "random changes to images: "+strings.Join(augmentations, ", "))
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	f.IntVar(&o.workers, "workers", 0, "goroutines that prepare images, without effect on the result; 0: one for each processor")
	f.IntVar(&o.keep, "keep", 3, "newest checkpoints to keep; 0: all")
	f.IntVar(&o.saveEvery, "save-every", 0, "steps between checkpoints; 0: an epoch")
	f.IntVar(&o.evals, "eval-every", 0, "steps between validations; 0: an epoch")
	f.BoolVar(&o.resume, "resume", false, "go on from the last checkpoint in --out; other flags may be left out")
}

// vqvaeDefaults are the values of flags that suit a data set.
var vqvaeDefaults = map[string]map[string]string{
	"shapes":        {"preset": "small32", "epochs": "5", "codes": "1024", "batch": "32"},
	"mnist":         {"preset": "small28", "epochs": "3"},
	"fashion-mnist": {"preset": "small28", "epochs": "3"},
	"cifar10":       {"preset": "small32", "epochs": "10", "augment": "flip"},
	"folder":        {"preset": "small64", "epochs": "20", "augment": "flip"},
}

// check reports the first value out of range.
func (o *vqvaeSettings) check() error {
	for _, x := range []struct {
		flag  string
		value float64
		ok    bool
		want  string
	}{
		{"val", o.val, o.val == -1 || o.val >= 0 && o.val < 1, "at least 0 and less than 1"},
		{"codes", float64(o.codes), o.codes >= 2 && o.codes <= 1<<20, "2 to 1048576"},
		{"residual-blocks", float64(o.residual), o.residual >= 0 && o.residual <= 100, "0 to 100"},
		{"commitment", o.commitment, o.commitment >= 0 && o.commitment < 1e6, "0 or more"},
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
	if o.epochs == 0 && o.steps == 0 {
		return usagef("--epochs and --steps are both 0")
	}
	if !slices.Contains(vqvae.Quantizers(), o.quantizer) {
		return unknown("quantizer", o.quantizer, vqvae.Quantizers())
	}
	_, err := augmentation(o.augment, 0, 32)
	return err
}

// config is the configuration of a new model.
func (o *vqvaeSettings) config() (vqvae.Config, error) {
	if !slices.Contains(vqvae.Presets(), o.preset) {
		return vqvae.Config{}, unknown("preset", o.preset, vqvae.Presets())
	}
	c, err := vqvae.Preset(o.preset)
	if err != nil {
		return c, err
	}
	c.ResidualBlocks, c.Commitment = o.residual, o.commitment
	if err := c.SetQuantizer(o.quantizer, o.codes); err != nil {
		return c, err
	}
	return c, c.Validate()
}
