package main

import (
	"strings"

	"github.com/spf13/pflag"

	"tessera/flamingo"
	"tessera/flamingo/gpt2"
	"tessera/train/data"
)

// flamingoSettings are the flags of "flamingo train".
type flamingoSettings struct {
	fitting
	data, language, vision, cache, template string
	val                                     float64
	holdOut, shots                          int
	depth, latents, heads, headWidth, mult  int
	every                                   int
	allImages, imageTimes                   bool
	show                                    string
	gateRate                                float64
}

func (o *flamingoSettings) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.data, "data", "", "data set: "+flamingoForms+" or the path of a folder")
	f.StringVar(&o.language, "language", "", "folder of the language model: a published GPT-2 or that of pretrain-lm")
	f.StringVar(&o.vision, "vision", "", "folder of the vision tower: a ViT or a CLIP")
	bindCache(f, &o.cache)
	o.bindOut(f)
	bindVal(f, &o.val, "folders")
	f.IntVar(&o.holdOut, "hold-out", 0, "pairs of color and shape to leave out of training, of shapes")
	bindTemplate(f, &o.template)
	f.IntVar(&o.shots, "shots", 4, "examples before what is asked, at most")
	f.IntVar(&o.depth, "depth", 2, "layers of the resampler")
	f.IntVar(&o.latents, "latents", 8, "latents of an image")
	f.IntVar(&o.heads, "heads", 4, "heads of the resampler and of cross-attention")
	f.IntVar(&o.headWidth, "head-width", 16, "width of a head")
	f.IntVar(&o.mult, "ff-mult", 2, "hidden units of the added feed-forwards, in widths")
	f.IntVar(&o.every, "every", 1, "cross-attention before each n-th block of the language model")
	f.BoolVar(&o.allImages, "all-images", false, "let a token see all images before it, not only the last")
	f.BoolVar(&o.imageTimes, "image-times", false, "tell the images of a text apart by learned vectors")
	f.StringVar(&o.show, "show", "all", "tokens of the tower that are looked at: patches (as open_flamingo does), class, or all of both")
	o.fitting = fitting{epochs: 4, batch: 32, lr: 5e-3, warmup: 0.05, weightDecay: 0.1, betas: []float64{0.9, 0.98}, saveEvery: 500}
	o.bindLength(f)
	o.fitting.bind(f, "images of a batch that are asked about", "an epoch")
	f.Float64Var(&o.gateRate, "gate-rate", 30, "times the learning rate for the gates, until whose opening nothing else learns")
}

func (o *flamingoSettings) check() error {
	const most = 1 << 16
	size := func(flag string, n int) limited { return limited{flag, float64(n), n >= 1 && n <= most, "1 to 65536"} }
	err := within(
		valShare(o.val),
		limited{"hold-out", float64(o.holdOut), o.holdOut >= 0, "0 or more"},
		limited{"shots", float64(o.shots), o.shots >= 0 && o.shots <= 64, "0 to 64"},
		size("depth", o.depth), size("latents", o.latents), size("heads", o.heads), size("head-width", o.headWidth),
		size("ff-mult", o.mult), size("every", o.every),
		limited{"gate-rate", o.gateRate, o.gateRate > 0 && o.gateRate < 1e6, "more than 0"},
	)
	if err != nil {
		return err
	}
	if _, err := flamingo.ParseShown(o.show); err != nil {
		return usagef("--show: %v", err)
	}
	return o.fitting.check()
}

// config is the configuration of a new model.
func (o *flamingoSettings) config(text gpt2.Config, t *tower) (flamingo.Config, error) {
	c := flamingo.For(text, t.width)
	c.Resampler = flamingo.ResamplerConfig{Depth: o.depth, Latents: o.latents, Heads: o.heads, HeadWidth: o.headWidth, Mult: o.mult}
	c.Cross = flamingo.CrossConfig{Heads: o.heads, HeadWidth: o.headWidth, Mult: o.mult}
	if o.imageTimes {
		c.Resampler.MaxImages = 1 + o.shots
	}
	c.Every, c.Immediate, c.Tower, c.Patches = o.every, !o.allImages, t.kind, t.patches
	c.Shown = t.shown
	return c, c.Validate()
}

// flamingoParts are the parts of a data set. Of shapes, the pairs held out are a
// part of their own, and the pairs that are asked about come from the others.
type flamingoParts struct {
	train, val, test, held data.Dataset // nil where there is none
	names                  bool         // of colors are asked for, too
}

// namesData is the data set "shapes" with texts about made-up names of colors.
const namesData = "shapes-words"

// namesOf makes of the name of that data set the one of the images.
func namesOf(spec string) (plain string, names bool) {
	rest, ok := strings.CutPrefix(spec, namesData)
	if !ok || rest != "" && rest[0] != ':' {
		return spec, false
	}
	return "shapes" + rest, true
}

// flamingoForms shows how the data of "flamingo train" and "eval" is written.
const flamingoForms = namesData + "[:N], " + dataForms

// openFlamingoData opens a data set for images of a tower.
func openFlamingoData(spec string, side, leftOut int, val float64, seed uint64) (p flamingoParts, err error) {
	plain, names := namesOf(spec)
	d, err := parseDataSpec(plain)
	if err != nil {
		return p, err
	}
	s, err := d.open(side, val, seed)
	if err != nil {
		return p, err
	}
	p = flamingoParts{train: s.train, val: s.val, test: s.test, names: names}
	if leftOut == 0 {
		return p, nil
	}
	shapes, ok := s.test.(data.Shapes)
	if !ok {
		return p, usagef("--hold-out %d: only shapes have pairs of color and shape to hold out", leftOut)
	}
	_, pairs, err := data.HoldOut(leftOut, seed)
	if err != nil {
		return p, usagef("--hold-out %d: %v", leftOut, err)
	}
	shapes.Pairs = pairs
	p.held = shapes
	for _, part := range []*data.Dataset{&p.train, &p.val, &p.test} {
		if *part, err = holdOut(*part, leftOut, seed); err != nil {
			return p, err
		}
	}
	return p, nil
}

// some keeps at most n examples of a data set; 0 keeps all. Shapes stay shapes,
// about which there are questions.
func some(ds data.Dataset, n int) data.Dataset {
	if s, ok := ds.(data.Shapes); ok && n > 0 {
		s.N = min(s.N, n)
		return s
	}
	if n > 0 {
		return data.Take(ds, n)
	}
	return ds
}
