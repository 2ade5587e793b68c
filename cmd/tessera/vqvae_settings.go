package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"tessera/vqvae"
)

// vqvaeSettings are the flags of "vqvae train".
type vqvaeSettings struct {
	fitting
	data, preset, quantizer string
	codes, residual         int
	commitment, val         float64
	augment                 []string
	workers                 int
}

func (o *vqvaeSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+dataForms+" or the path of a folder")
	o.bindOut(f)
	bindVal(f, &o.val, "folders")
	f.StringVar(&o.preset, "preset", "", "size of the model: "+strings.Join(vqvae.Presets(), ", ")+" (default by data set)")
	f.StringVar(&o.quantizer, "quantizer", vqvae.EMA, "kind of codebook: "+strings.Join(vqvae.Quantizers(), ", "))
	f.IntVar(&o.codes, "codes", 512, "codes of the codebook, 1024 for shapes unless given; fsq takes the nearest number it can have")
	f.IntVar(&o.residual, "residual-blocks", 0, "residual blocks of the encoder and of the decoder")
	f.Float64Var(&o.commitment, "commitment", 0.25, "weight of the encoder's distance from its codes")
	o.bindLength(f)
	f.StringSliceVar(&o.augment, "augment", []string{"none"}, "random changes to images: "+strings.Join(augmentations, ", "))
	bindWorkers(f, &o.workers)
	o.fitting = fitting{batch: 64, lr: 2e-3, warmup: 0.05, betas: []float64{0.9, 0.999}}
	o.fitting.bind(f, "images of a batch, 32 of shapes unless given", "an epoch")
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
	if err := o.fitting.check(); err != nil {
		return err
	}
	err := within(
		valShare(o.val),
		limited{"codes", float64(o.codes), o.codes >= 2 && o.codes <= 1<<20, "2 to 1048576"},
		limited{"residual-blocks", float64(o.residual), o.residual >= 0 && o.residual <= 100, "0 to 100"},
		limited{"commitment", o.commitment, o.commitment >= 0 && o.commitment < 1e6, "0 or more"},
	)
	if err != nil {
		return err
	}
	if !slices.Contains(vqvae.Quantizers(), o.quantizer) {
		return unknown("quantizer", o.quantizer, vqvae.Quantizers())
	}
	_, err = augmentation(o.augment, 0, 32)
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
