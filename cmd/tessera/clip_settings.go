package main

import (
	"slices"

	"github.com/spf13/pflag"

	"tessera/clip"
)

// clipSettings are the flags of "clip train".
type clipSettings struct {
	fitting
	data, preset string
	val          float64
	heldOut      int
	template     []string
	vocabulary   int

	loss, lock      string
	same            bool
	chunk, workers  int
	ema, layerDecay float64
}

func (o *clipSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+clipForms+" or the path of a folder")
	o.bindOut(f)
	f.StringVar(&o.preset, "preset", "", "size of the model (default by data set)")
	bindVal(f, &o.val, "folders and pairs")
	f.IntVar(&o.heldOut, "held-out", 6, "combinations of color and shape that shapes keeps from training; 0: none")
	f.StringArrayVar(&o.template, "template", nil, "caption of a class, such as \"a photo of a {}\", where the data has none; may be repeated (default: four)")
	f.IntVar(&o.vocabulary, "vocabulary", 640, "most tokens of the tokenizer, which is trained on the captions")
	f.StringVar(&o.loss, "loss", "infonce", "infonce (softmax over the batch) or sigmoid (every pair by itself)")
	f.BoolVar(&o.same, "same", true, "pairs of a batch with the same caption or class belong together")
	f.StringVar(&o.lock, "lock", "", "tower that is not trained: image or text")
	o.bindLength(f)
	f.IntVar(&o.chunk, "chunk", 0, "pairs that are in memory at once, with the loss and gradients of the whole batch all the same; 0: the batch")
	f.Float64Var(&o.layerDecay, "layer-decay", 1, "learning rate of a block in proportion to that of the next")
	f.Float64Var(&o.ema, "ema", 0, "decay of averaged weights, which are then measured and saved; 0: none")
	bindWorkers(f, &o.workers)
	o.fitting = fitting{batch: 128, lr: 2e-3, warmup: 0.1, weightDecay: 0.1, betas: []float64{0.9, 0.98}}
	o.fitting.bind(f, "pairs of a batch", "an epoch")
}

// clipDefaults are the values of flags that suit a data set.
var clipDefaults = map[string]map[string]string{
	"shapes":        {"preset": "small32", "epochs": "1", "save-every": "500"},
	"shapes:N":      {"preset": "small32", "epochs": "32"},
	"mnist":         {"preset": "small28", "epochs": "2"},
	"fashion-mnist": {"preset": "small28", "epochs": "2"},
	"cifar10":       {"preset": "small32", "epochs": "20"},
	"folder":        {"preset": "small64", "epochs": "20"},
	"captions":      {"preset": "small64", "epochs": "20", "vocabulary": "4096"},
	"pairs":         {"preset": "small64", "epochs": "20", "vocabulary": "4096"},
	"webdataset":    {"preset": "small64", "epochs": "20", "vocabulary": "4096"},
	"coco":          {"preset": "small64", "epochs": "20", "vocabulary": "4096"},
	"emoji":         {"preset": "small64", "epochs": "20", "vocabulary": "2048"},
}

// check reports the first value out of range.
func (o *clipSettings) check() error {
	if err := o.fitting.check(); err != nil {
		return err
	}
	err := within(
		valShare(o.val),
		limited{"held-out", float64(o.heldOut), o.heldOut >= 0, "0 or more"},
		limited{"vocabulary", float64(o.vocabulary), o.vocabulary >= 514, "514 or more: every byte twice, start and end"},
		limited{"batch", float64(o.batch), o.batch >= 2, "2 or more"},
		limited{"chunk", float64(o.chunk), o.chunk >= 0, "0 or more"},
		aProbability("ema", o.ema),
		limited{"layer-decay", o.layerDecay, o.layerDecay > 0 && o.layerDecay <= 1, "more than 0, at most 1"},
	)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		what, name string
		known      []string
	}{
		{"preset", o.preset, clip.Presets()},
		{"loss", o.loss, []string{"infonce", "sigmoid"}},
		{"tower", o.lock, []string{"", "image", "text"}},
	} {
		if !slices.Contains(x.known, x.name) {
			return unknown(x.what, x.name, x.known)
		}
	}
	if o.chunk > 0 && o.batch%o.chunk != 0 {
		return usagef("--chunk %d does not divide --batch %d", o.chunk, o.batch)
	}
	if len(o.template) > 0 {
		_, err := (&classifyOptions{template: o.template}).prompts()
		return err
	}
	return nil
}
