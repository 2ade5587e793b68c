package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/pflag"
)

// vitSettings are the flags of "vit train".
type vitSettings struct {
	data, out, preset, init, pooling string
	val                              float64
	imageSize                        int

	epochs, steps, batch, accumulate int
	lr, warmup                       float64
	schedule                         string
	weightDecay, clip, layerDecay    float64
	decayAll                         bool
	betas                            []float64
	ema                              float64
	freeze                           []string

	smoothing, mixup, cutmix, mixProb, erase float64
	augment                                  []string
	dropout, attentionDropout, dropPath      float64

	seed                                uint64
	workers, keep, saveEvery, evalEvery int
	resume                              bool
}

func (o *vitSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&o.out, "out", "", "folder of the results, new or empty")
	f.Float64Var(&o.val, "val", -1, "share of the training images held out for validation where the data has no such part; -1: 0.1 for folders, else 0")
	f.StringVar(&o.preset, "preset", "", "size of a new model (default by data set)")
	f.StringVar(&o.init, "init", "", "checkpoint to fine-tune instead of a new model")
	f.IntVar(&o.imageSize, "image-size", 0, "side of the input in pixels; 0: the model's own")
	f.StringVar(&o.pooling, "pooling", "", "what is classified: cls (the class token) or mean (of the patches); empty: the model's own")
	f.IntVar(&o.epochs, "epochs", 0, "passes over the training images (default by data set)")
	f.IntVar(&o.steps, "steps", 0, "optimizer steps, instead of epochs")
	f.IntVar(&o.batch, "batch", 128, "images of a batch")
	f.IntVar(&o.accumulate, "accumulate", 1, "batches averaged for one step")
	f.Float64Var(&o.lr, "lr", 1e-3, "peak learning rate")
	f.StringVar(&o.schedule, "schedule", "cosine", "learning rate after the warm-up: cosine, constant or cooldown (constant, linear to 0 in the last fifth)")
	f.Float64Var(&o.warmup, "warmup", 0.1, "share of the steps in which the learning rate rises")
	f.Float64Var(&o.weightDecay, "weight-decay", 0.05, "decoupled weight decay")
	f.BoolVar(&o.decayAll, "decay-all", false, "decay all parameters, not only matrices")
	f.Float64Var(&o.clip, "clip", 1, "largest norm of the gradient; 0: any")
	f.Float64SliceVar(&o.betas, "betas", []float64{0.9, 0.999}, "AdamW's decay of its two moments")
	f.Float64Var(&o.layerDecay, "layer-decay", 1, "learning rate of a block in proportion to that of the next")
	f.StringSliceVar(&o.freeze, "freeze", nil, "parameters to leave as they are, such as 'vit.*'")
	f.Float64Var(&o.ema, "ema", 0, "decay of averaged weights, which are then evaluated and saved; 0: none")
	f.Float64Var(&o.smoothing, "label-smoothing", 0, "share of the label given to all classes alike")
	f.Float64Var(&o.mixup, "mixup", 0, "α of mixup; 0: none")
	f.Float64Var(&o.cutmix, "cutmix", 0, "α of CutMix; 0: none")
	f.Float64Var(&o.mixProb, "mix-prob", 1, "probability that a batch is mixed, with --mixup or --cutmix")
	f.StringSliceVar(&o.augment, "augment", []string{"none"}, "random changes to images: "+strings.Join(augmentations, ", "))
	f.Float64Var(&o.erase, "erase", 0, "probability of erasing a rectangle of an image")
	f.Float64Var(&o.dropout, "dropout", 0, "probability of zeroing a hidden unit")
	f.Float64Var(&o.attentionDropout, "attention-dropout", 0, "probability of zeroing an attention weight")
	f.Float64Var(&o.dropPath, "drop-path", 0, "probability of skipping the last block, less for those before")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	f.IntVar(&o.workers, "workers", 0, "goroutines that prepare images, without effect on the result; 0: one for each processor")
	f.IntVar(&o.keep, "keep", 3, "newest checkpoints to keep; 0: all")
	f.IntVar(&o.saveEvery, "save-every", 0, "steps between checkpoints; 0: an epoch")
	f.IntVar(&o.evalEvery, "eval-every", 0, "steps between validations; 0: an epoch")
	f.BoolVar(&o.resume, "resume", false, "go on from the last checkpoint in --out; other flags may be left out")
}

// free are the flags that may change when a run is resumed: they have no
// influence on its weights.
var free = []string{"out", "resume", "workers", "keep", "save-every", "help", "config", "dry-run"}

// dataDefaults are the values of flags that suit a data set.
var dataDefaults = map[string]map[string]string{
	"shapes":        {"preset": "small32", "epochs": "4", "lr": "2e-3"},
	"mnist":         {"preset": "small28", "epochs": "5"},
	"fashion-mnist": {"preset": "small28", "epochs": "5"},
	"cifar10":       {"preset": "small32", "epochs": "20", "augment": "flip,shift"},
	"folder":        {"preset": "small64", "epochs": "20", "augment": "flip"},
}

// setDefaults sets flags that were not given, by name.
func setDefaults(f *pflag.FlagSet, values map[string]string) error {
	for name, value := range values {
		if err := setDefault(f, name, value); err != nil {
			return err
		}
	}
	return nil
}

// setDefault sets a flag unless it was given.
func setDefault(f *pflag.FlagSet, name, value string) error {
	flag := f.Lookup(name)
	if flag == nil {
		return errors.Errorf("there is no flag --%s", name)
	}
	if flag.Changed {
		return nil
	}
	if s, ok := flag.Value.(pflag.SliceValue); ok {
		var list []string
		if value = strings.Trim(value, "[]"); value != "" {
			list = strings.Split(value, ",")
		}
		return s.Replace(list)
	}
	return flag.Value.Set(value)
}

// fingerprint lists the flags that determine the weights.
func fingerprint(f *pflag.FlagSet) map[string]string {
	m := map[string]string{}
	f.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(free, flag.Name) {
			m[flag.Name] = flag.Value.String()
		}
	})
	return m
}

// takeUp sets the flags that were not given to those of the run saved in the
// checkpoint folder at path. Given ones must agree with it.
func takeUp(f *pflag.FlagSet, path string) error {
	file := filepath.Join(path, "trainer.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return errors.Wrap(err, "resume")
	}
	var saved struct{ Settings map[string]string }
	if err := json.Unmarshal(text, &saved); err != nil {
		return errors.Wrapf(err, "resume: %s", file)
	}
	for name, now := range fingerprint(f) {
		before, ok := saved.Settings[name]
		if !ok {
			return errors.Errorf("resume: %s has no setting %q: it was saved by another version", file, name)
		}
		if f.Lookup(name).Changed && before != now {
			return usagef("--%s is %s, but %s in the run to resume: leave the flag out or train into another --out", name, now, before)
		}
		if err := setDefault(f, name, before); err != nil {
			return errors.Wrapf(err, "resume: %s: setting %q", file, name)
		}
	}
	return nil
}

// check reports the first value out of range.
func (o *vitSettings) check() error {
	for _, x := range []struct {
		flag  string
		value float64
		ok    bool
		want  string
	}{
		{"val", o.val, o.val == -1 || o.val >= 0 && o.val < 1, "at least 0 and less than 1"},
		{"image-size", float64(o.imageSize), o.imageSize >= 0, "0 or more"},
		{"epochs", float64(o.epochs), o.epochs >= 0, "0 or more"},
		{"steps", float64(o.steps), o.steps >= 0, "0 or more"},
		{"batch", float64(o.batch), o.batch >= 1, "1 or more"},
		{"accumulate", float64(o.accumulate), o.accumulate >= 1, "1 or more"},
		{"lr", o.lr, o.lr > 0 && o.lr < 1e6, "more than 0"},
		{"warmup", o.warmup, o.warmup >= 0 && o.warmup <= 1, "0 to 1"},
		{"weight-decay", o.weightDecay, o.weightDecay >= 0 && o.weightDecay < 1e6, "0 or more"},
		{"clip", o.clip, o.clip >= 0, "0 or more"},
		{"layer-decay", o.layerDecay, o.layerDecay > 0 && o.layerDecay <= 1, "more than 0, at most 1"},
		{"ema", o.ema, o.ema >= 0 && o.ema < 1, "at least 0 and less than 1"},
		{"label-smoothing", o.smoothing, o.smoothing >= 0 && o.smoothing < 1, "at least 0 and less than 1"},
		{"mixup", o.mixup, o.mixup >= 0, "0 or more"},
		{"cutmix", o.cutmix, o.cutmix >= 0, "0 or more"},
		{"mix-prob", o.mixProb, o.mixProb >= 0 && o.mixProb <= 1, "0 to 1"},
		{"erase", o.erase, o.erase >= 0 && o.erase <= 1, "0 to 1"},
		{"dropout", o.dropout, o.dropout >= 0 && o.dropout < 1, "at least 0 and less than 1"},
		{"attention-dropout", o.attentionDropout, o.attentionDropout >= 0 && o.attentionDropout < 1, "at least 0 and less than 1"},
		{"drop-path", o.dropPath, o.dropPath >= 0 && o.dropPath < 1, "at least 0 and less than 1"},
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
	for _, x := range []struct {
		what, name string
		known      []string
	}{
		{"schedule", o.schedule, []string{"cosine", "constant", "cooldown"}},
		{"pooling", o.pooling, []string{"", "cls", "mean"}},
	} {
		if !slices.Contains(x.known, x.name) {
			return unknown(x.what, x.name, x.known)
		}
	}
	_, err := augmentation(o.augment, o.erase, 32)
	return err
}
