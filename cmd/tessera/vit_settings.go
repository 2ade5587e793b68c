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
	fitting
	data, preset, init, pooling string
	val                         float64
	imageSize                   int

	accumulate      int
	schedule        string
	layerDecay, ema float64
	decayAll        bool
	freeze          []string

	smoothing, mixup, cutmix, mixProb, erase float64
	augment                                  []string
	dropout, attentionDropout, dropPath      float64
	workers                                  int
}

func (o *vitSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+dataForms+" or the path of a folder")
	o.bindOut(f)
	bindVal(f, &o.val, "folders")
	f.StringVar(&o.preset, "preset", "", "size of a new model (default by data set)")
	f.StringVar(&o.init, "init", "", "checkpoint to fine-tune instead of a new model")
	f.IntVar(&o.imageSize, "image-size", 0, "side of the input in pixels; 0: the model's own")
	f.StringVar(&o.pooling, "pooling", "", "what is classified: cls (the class token) or mean (of the patches); empty: the model's own")
	o.bindLength(f)
	f.IntVar(&o.accumulate, "accumulate", 1, "batches averaged for one step")
	f.StringVar(&o.schedule, "schedule", "cosine", "learning rate after the warm-up: cosine, constant or cooldown (constant, linear to 0 in the last fifth)")
	f.BoolVar(&o.decayAll, "decay-all", false, "decay all parameters, not only matrices")
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
	bindWorkers(f, &o.workers)
	o.fitting = fitting{batch: 128, lr: 1e-3, warmup: 0.1, weightDecay: 0.05, betas: []float64{0.9, 0.999}}
	o.fitting.bind(f, "images of a batch", "an epoch")
}

// free are the flags that may change when a run is resumed: they have no
// influence on its weights.
var free = []string{"out", "resume", "workers", "keep", "save-every", "help", "config", "dry-run"}

// vitDefaults are the values of flags that suit a data set.
var vitDefaults = map[string]map[string]string{
	"shapes":        {"preset": "small32", "epochs": "1", "lr": "2e-3", "save-every": "500", "eval-every": "500"},
	"shapes:N":      {"preset": "small32", "epochs": "4", "lr": "2e-3"},
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
	if err := o.fitting.check(); err != nil {
		return err
	}
	err := within(
		valShare(o.val),
		limited{"image-size", float64(o.imageSize), o.imageSize >= 0, "0 or more"},
		limited{"accumulate", float64(o.accumulate), o.accumulate >= 1, "1 or more"},
		limited{"layer-decay", o.layerDecay, o.layerDecay > 0 && o.layerDecay <= 1, "more than 0, at most 1"},
		aProbability("ema", o.ema), aProbability("label-smoothing", o.smoothing),
		limited{"mixup", o.mixup, o.mixup >= 0, "0 or more"},
		limited{"cutmix", o.cutmix, o.cutmix >= 0, "0 or more"},
		limited{"mix-prob", o.mixProb, o.mixProb >= 0 && o.mixProb <= 1, "0 to 1"},
		limited{"erase", o.erase, o.erase >= 0 && o.erase <= 1, "0 to 1"},
		aProbability("dropout", o.dropout), aProbability("attention-dropout", o.attentionDropout), aProbability("drop-path", o.dropPath),
	)
	if err != nil {
		return err
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
	_, err = augmentation(o.augment, o.erase, 32)
	return err
}
