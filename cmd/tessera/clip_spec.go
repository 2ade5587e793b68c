package main

import (
	"slices"
	"strings"

	"tessera/train/data"
)

// pairKinds are the data sets of images with captions of their own.
var pairKinds = []string{"captions", "pairs", "webdataset", "coco", "emoji"}

// clipForms shows how --data is written.
const clipForms = "captions:FILE, pairs:DIR, webdataset:SHARDS, coco:FILE, emoji:DIR[:STYLE], " + dataForms

// clipFormsHelp explains them.
const clipFormsHelp = `  shapes[:N]          drawn shapes with captions; without N, each training image
                      is seen once
  captions:FILE       .csv, .tsv or .jsonl of paths and captions
  pairs:DIR           image.jpg beside image.txt
  webdataset:SHARDS   tar files, such as shards/{000..012}.tar
  coco:FILE           captions_*.json of COCO
  emoji:DIR[:STYLE]   npm packages emoji-datasource-* and the like, with STYLE to
                      test, when the others are for training
  fashion-mnist:DIR, mnist:DIR, cifar10:DIR, folder:DIR or DIR
                      labelled images, whose captions are templates around the
                      names of classes`

// pairShare is the share of pairs that training keeps to measure by.
const pairShare = 0.1

// clipSpec is a data set as named on the command line.
type clipSpec struct {
	kind       string // one of pairKinds or dataKinds
	arg, style string // of pairs
	labelled   dataSpec
}

// parseClipSpec reads "KIND:ARGUMENT" or what parseDataSpec does.
func parseClipSpec(s string) (clipSpec, error) {
	if s == "" {
		return clipSpec{}, usagef("--data is missing, want one of %s, or a folder", clipForms)
	}
	kind, arg, found := strings.Cut(s, ":")
	if !slices.Contains(pairKinds, kind) {
		if found && !slices.Contains(dataKinds, kind) && nearest(kind, pairKinds) != "" && nearest(kind, dataKinds) == "" {
			return clipSpec{}, unknown("data set", kind, append(slices.Clone(pairKinds), dataKinds...))
		}
		d, err := parseDataSpec(s)
		return clipSpec{kind: d.kind, labelled: d}, err
	}
	if arg == "" {
		return clipSpec{}, usagef("--data %s: want one of %s", s, clipForms)
	}
	d := clipSpec{kind: kind, arg: arg}
	if i := strings.LastIndexByte(arg, ':'); kind == "emoji" && i > 0 && !strings.ContainsAny(arg[i:], `/\`) {
		d.arg, d.style = arg[:i], arg[i+1:]
	}
	return d, nil
}

// pairs tells whether the images have captions of their own, and no classes.
func (d clipSpec) pairs() bool { return slices.Contains(pairKinds, d.kind) }

// open reads the data set. Of pairs, the share val is held out for validation,
// or the style that is named for a test; a negative share is the usual one.
func (d clipSpec) open(size int, val float64, seed uint64) (splits, error) {
	if !d.pairs() {
		return d.labelled.open(size, val, seed)
	}
	all, test, err := d.captions()
	if err != nil {
		return splits{}, err
	}
	s := splits{train: all}
	if test != nil {
		s.test = test
		if val < 0 {
			val = 0
		}
	}
	if val < 0 {
		val = pairShare
	}
	if val > 0 {
		rest, held, err := all.Split(val)
		if err != nil {
			return s, err
		}
		s.train, s.val = rest, held
	}
	return s, nil
}

// captions opens pairs, and those to test where they are told apart.
func (d clipSpec) captions() (all, test *data.Captions, err error) {
	switch d.kind {
	case "captions":
		all, err = data.OpenCaptions(d.arg)
	case "pairs":
		all, err = data.OpenCaptionFolder(d.arg)
	case "webdataset":
		all, err = data.OpenWebDataset(d.arg)
	case "coco":
		all, err = data.OpenCOCO(d.arg)
	case "emoji":
		return d.emoji()
	}
	return all, nil, err
}

func (d clipSpec) emoji() (all, test *data.Captions, err error) {
	styles, err := data.OpenEmoji(d.arg)
	if err != nil {
		return nil, nil, err
	}
	var rest []*data.Captions
	var names []string
	for _, s := range styles {
		names = append(names, s.Name)
		if s.Name == d.style {
			test = s.Captions
		} else {
			rest = append(rest, s.Captions)
		}
	}
	switch {
	case d.style != "" && test == nil:
		return nil, nil, unknown("style", d.style, names)
	case len(rest) == 0:
		return nil, nil, usagef("--data emoji: %s is the only style in %s: there is none to train on", d.style, d.arg)
	}
	return data.JoinCaptions(rest...), test, nil
}

// namesOf are the classes of a data set as words: those of folders may have
// underscores for spaces.
func (d clipSpec) namesOf(ds data.Dataset) []string {
	names := slices.Clone(ds.Classes())
	if d.kind == "folder" {
		for i, n := range names {
			names[i] = strings.ReplaceAll(n, "_", " ")
		}
	}
	return names
}
