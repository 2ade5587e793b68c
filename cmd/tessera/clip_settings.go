package main

import (
	"slices"

	"github.com/spf13/pflag"

	"tessera/clip"
)

// clipSettings are the flags of "clip train".
type clipSettings struct {
	data, out, preset string
	val               float64
	heldOut           int
	template          []string
	vocabulary        int

	loss       string
	same       bool
	lock       string
	epochs     int
	batch      int
	chunk      int
	ema        float64
	lr, warmup float64
	decay      float64
	layerDecay float64
	clip       float64
	seed       uint64
	workers    int
	keep       int
	saveEvery  int
	evalEvery  int
	resume     bool
}

func (o *clipSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+clipForms+" or the path of a folder")
	f.StringVar(&o.out, "out", "", "folder of the results, new or empty")
	f.StringVar(&o.preset, "preset", "", "size of the model (default by data set)")
	f.Float64Var(&o.val, "val", -1, "share of the training images held out for validation where the data has no such part; -1: 0.1 for folders and pairs, else 0")
	f.IntVar(&o.heldOut, "held-out", 6, "combinations of color and shape that shapes keeps from training; 0: none")
	f.StringArrayVar(&o.template, "template", nil, "caption of a class, such as \"a photo of a {}\", where the data has none; may be repeated (default: four)")
	f.IntVar(&o.vocabulary, "vocabulary", 640, "most tokens of the tokenizer, which is trained on the captions")
	f.StringVar(&o.loss, "loss", "infonce", "infonce (softmax over the batch) or sigmoid (every pair by itself)")
	f.BoolVar(&o.same, "same", true, "pairs of a batch with the same caption or class belong together")
	f.StringVar(&o.lock, "lock", "", "tower that is not trained: image or text")
	f.IntVar(&o.epochs, "epochs", 0, "passes over the training images (default by data set)")
	f.IntVar(&o.batch, "batch", 128, "pairs of a batch")
	f.IntVar(&o.chunk, "chunk", 0, "pairs that are in memory at once, with the loss and gradients of the whole batch all the same; 0: the batch")
	f.Float64Var(&o.lr, "lr", 2e-3, "peak learning rate, of a cosine")
	f.Float64Var(&o.warmup, "warmup", 0.1, "share of the steps in which the learning rate rises")
	f.Float64Var(&o.decay, "weight-decay", 0.1, "decoupled weight decay, of matrices")
	f.Float64Var(&o.layerDecay, "layer-decay", 1, "learning rate of a block in proportion to that of the next")
	f.Float64Var(&o.clip, "clip", 1, "largest norm of the gradient; 0: any")
	f.Float64Var(&o.ema, "ema", 0, "decay of averaged weights, which are then measured and saved; 0: none")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	f.IntVar(&o.workers, "workers", 0, "goroutines that prepare images, without effect on the result; 0: one for each processor")
	f.IntVar(&o.keep, "keep", 3, "newest checkpoints to keep; 0: all")
	f.IntVar(&o.saveEvery, "save-every", 0, "steps between checkpoints; 0: an epoch")
	f.IntVar(&o.evalEvery, "eval-every", 0, "steps between validations; 0: an epoch")
	f.BoolVar(&o.resume, "resume", false, "go on from the last checkpoint in --out; other flags may be left out")
}

// clipDefaults are the values of flags that suit a data set.
var clipDefaults = map[string]map[string]string{
	"shapes":        {"preset": "small32", "epochs": "32"},
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
	for _, x := range []struct {
		flag  string
		value float64
		ok    bool
		want  string
	}{
		{"val", o.val, o.val == -1 || o.val >= 0 && o.val < 1, "at least 0 and less than 1"},
		{"held-out", float64(o.heldOut), o.heldOut >= 0, "0 or more"},
		{"vocabulary", float64(o.vocabulary), o.vocabulary >= 514, "514 or more: every byte twice, start and end"},
		{"epochs", float64(o.epochs), o.epochs >= 1, "1 or more"},
		{"batch", float64(o.batch), o.batch >= 2, "2 or more"},
		{"chunk", float64(o.chunk), o.chunk >= 0, "0 or more"},
		{"ema", o.ema, o.ema >= 0 && o.ema < 1, "at least 0 and less than 1"},
		{"lr", o.lr, o.lr > 0 && o.lr < 1e6, "more than 0"},
		{"warmup", o.warmup, o.warmup >= 0 && o.warmup <= 1, "0 to 1"},
		{"weight-decay", o.decay, o.decay >= 0 && o.decay < 1e6, "0 or more"},
		{"layer-decay", o.layerDecay, o.layerDecay > 0 && o.layerDecay <= 1, "more than 0, at most 1"},
		{"clip", o.clip, o.clip >= 0, "0 or more"},
	} {
		if !x.ok {
			return usagef("--%s is %g, want %s", x.flag, x.value, x.want)
		}
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
