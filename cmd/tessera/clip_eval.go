package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip"
	"tessera/train/data"
)

// clipEvalOptions are the flags of "clip eval".
type clipEvalOptions struct {
	model, act, data, split, classesFrom, templates string
	template                                        []string
	val                                             float64
	seed                                            uint64
	batch, workers                                  int
	json                                            bool
}

func newClipEval() *cobra.Command {
	var o clipEvalOptions
	cmd := &cobra.Command{
		Use:   "eval --model DIR --data SPEC",
		Short: "Measure classification by names and retrieval",
		Long: `Measure on a part of a data set how many labelled images are classified right by
the names of their classes, and how well images and captions find each other:
recall at 1, 5 and 10, and the median rank of the answer. The data is one of

` + clipFormsHelp + `

The part is what training holds out (test, or else val); --split all takes all
pairs. Give the --val and --seed of the training run if they were not the usual
ones.`,
		Example: `  tessera clip eval --model clip-b32 --data cifar10:data/cifar --templates cifar
  tessera clip eval --model clip-b32 --data folder:pets --classes-from names.txt
  tessera clip eval --model clip-b32 --data coco:coco/annotations/captions_val2017.json --split all`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.model, "model", "", "folder or file of the model")
	f.StringVar(&o.data, "data", "", "data set: "+clipForms+" or the path of a folder")
	f.StringVar(&o.split, "split", "", "part of the data: train, val, test or all (default test, or val where there is none)")
	f.StringVar(&o.classesFrom, "classes-from", "", "file of names for the classes of the data, one a line and in their order; - is standard input")
	f.StringVar(&o.templates, "templates", "", "set of templates: "+strings.Join(clip.TemplateSets(), ", ")+" (default: the four that clip train describes classes by)")
	f.StringArrayVar(&o.template, "template", nil, "template instead of a set, such as \"a drawing of a {}\"; may be repeated")
	f.Float64Var(&o.val, "val", -1, "share of the training images that were held out, as for training")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the training run, which chose the images held out")
	f.IntVar(&o.batch, "batch", 64, "images of a batch")
	f.IntVar(&o.workers, "workers", 0, "goroutines that prepare images; 0: one for each processor")
	f.BoolVar(&o.json, "json", false, "print JSON")
	bindHiddenAct(cmd, &o.act)
	return cmd
}

// clipScore is the result of an evaluation.
type clipScore struct {
	Model    string   `json:"model"`
	Data     string   `json:"data"`
	Split    string   `json:"split"`
	Accuracy *float64 `json:"accuracy,omitempty"`
	measured
	ImagesPerSecond float64 `json:"images_per_second"`
}

func (o *clipEvalOptions) run(cmd *cobra.Command) error {
	if err := within(limited{"batch", float64(o.batch), o.batch >= 1, "1 or more"}, valShare(o.val)); err != nil {
		return err
	}
	spec, err := parseClipSpec(o.data)
	if err != nil {
		return err
	}
	e, err := loadEmbedder(o.model, o.act, logger(cmd))
	if err != nil {
		return err
	}
	defer e.Close()
	ds, split, err := o.part(spec, e.Config.Vision.ImageSize)
	if err != nil {
		return err
	}
	c, err := o.captions(cmd, spec, ds)
	if err != nil {
		return err
	}
	start := time.Now()
	m, err := e.measure(cmd.Context(), ds, c, o.batch, o.workers, counting(cmd.ErrOrStderr(), "images", ds.Len(), time.Now))
	if err != nil {
		return err
	}
	s := clipScore{Model: o.model, Data: o.data, Split: split, measured: *m, ImagesPerSecond: float64(m.Images) / time.Since(start).Seconds()}
	if m.Classes > 0 {
		accuracy := m.accuracy()
		s.Accuracy = &accuracy
	}
	if o.json {
		return writeJSON(cmd.OutOrStdout(), s)
	}
	return s.print(cmd)
}

// part opens the part of the data to measure by.
func (o *clipEvalOptions) part(spec clipSpec, size int) (data.Dataset, string, error) {
	val := o.val
	if o.split == "all" {
		if !spec.pairs() {
			return nil, "", usagef("--split all: only pairs of images and captions are taken together, not %s", spec.kind)
		}
		val = 0
	}
	parts, err := spec.open(size, val, o.seed)
	if err != nil {
		return nil, "", err
	}
	if o.split != "all" {
		return parts.part(o.split)
	}
	all := parts.train.(*data.Captions)
	if parts.test != nil {
		all = data.JoinCaptions(all, parts.test.(*data.Captions))
	}
	return all, "all", nil
}

// captions are the texts to measure by.
func (o *clipEvalOptions) captions(cmd *cobra.Command, spec clipSpec, ds data.Dataset) (captions, error) {
	c := captions{classes: spec.namesOf(ds), templates: classTemplates, seed: o.seed}
	if own, ok := ds.(data.Captioned); ok {
		c.own = own
		if o.classesFrom != "" || o.templates != "" || len(o.template) > 0 {
			return c, usagef("--data %s has captions of its own: leave out --classes-from and templates", spec.kind)
		}
		c.templates = shapeTemplates()
		return c, nil
	}
	if o.classesFrom != "" {
		names, err := readLines(o.classesFrom, cmd.InOrStdin())
		if err != nil {
			return c, errors.Wrap(err, "--classes-from")
		}
		names = slices.DeleteFunc(names, func(n string) bool { return strings.TrimSpace(n) == "" })
		if len(names) != len(c.classes) {
			return c, errors.Errorf("--classes-from %s has %d names for %d classes", o.classesFrom, len(names), len(c.classes))
		}
		c.classes = names
	}
	if o.templates == "" && len(o.template) == 0 {
		return c, nil
	}
	var err error
	c.templates, err = (&classifyOptions{templates: o.templates, template: o.template}).prompts()
	return c, err
}

func (s *clipScore) print(cmd *cobra.Command) error {
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if s.Classes > 0 {
		fmt.Fprintln(t, "class\timages\tcorrect\taccuracy\tmost often taken for")
		for _, c := range s.ByClass {
			taken := ""
			if c.Taken > 0 {
				taken = fmt.Sprintf("%s (%d)", c.TakenFor, c.Taken)
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%.2f %%\t%s\n", c.Label, c.Images, c.Correct, 100*c.Accuracy, taken)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(t)
	}
	s.measured.print(t, s.Split)
	if s.Classes > 5 {
		fmt.Fprintf(t, "among the first 5\t%.2f %%\t(%s)\n", 100*float64(s.Top5)/float64(s.Images), thousands(s.Top5))
	}
	fmt.Fprintf(t, "images/s\t%.1f\n", s.ImagesPerSecond)
	return t.Flush()
}
