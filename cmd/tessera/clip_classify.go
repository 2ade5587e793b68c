package main

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip"
)

// classifyOptions are the flags of "clip classify".
type classifyOptions struct {
	model, act, classesFrom, templates string
	classes, template                  []string
	top                                int
	json                               bool
}

func newClipClassify() *cobra.Command {
	var o classifyOptions
	cmd := &cobra.Command{
		Use:   "classify --model DIR --classes NAME,... FILE|FOLDER...",
		Short: "Classify image files by the names of classes",
		Long: `Classify image files, and those in folders, by names that the model was never
trained to tell apart. Each name is put into every template, at {}, and the mean
of these prompts stands for the class. Probabilities are those of the classes
given, which should leave none out; for a model trained with sigmoids each is
that of the class alone.

A file that cannot be read is reported and left out; the exit code is then 1.`,
		Example: `  tessera clip classify --model clip-b32 --classes "cat,dog,tennis racket" photos/
  tessera clip classify --model clip-b32 --classes-from names.txt --templates openai-imagenet-80 --json cat.jpg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.model, "model", "", "folder or file of the model")
	f.StringSliceVar(&o.classes, "classes", nil, "names of the classes, separated by commas")
	f.StringVar(&o.classesFrom, "classes-from", "", "file of names, one a line; - is standard input")
	f.StringVar(&o.templates, "templates", "simple", "set of templates: "+strings.Join(clip.TemplateSets(), ", "))
	f.StringArrayVar(&o.template, "template", nil, "template instead of a set, such as \"a drawing of a {}\"; may be repeated")
	f.IntVar(&o.top, "top", 5, "classes to print for each image")
	f.BoolVar(&o.json, "json", false, "print JSON")
	bindHiddenAct(cmd, &o.act)
	return cmd
}

func (o *classifyOptions) run(cmd *cobra.Command, args []string) error {
	names, err := o.names(cmd.InOrStdin())
	if err != nil {
		return err
	}
	templates, err := o.prompts()
	if err != nil {
		return err
	}
	log := logger(cmd)
	e, err := loadEmbedder(o.model, o.act, log)
	if err != nil {
		return err
	}
	defer e.Close()
	classifier, err := e.embed.ZeroShot(names, templates)
	if err != nil {
		return err
	}
	files, failed := imageFiles(args, log)
	found := []prediction{} // an empty list in JSON
	bad, err := e.embedImages(cmd.Context(), files, func(file string, row []float32) error {
		found = append(found, prediction{File: file, Classes: rankNames(names, e.Probabilities(row, classifier), o.top)})
		return nil
	})
	if err != nil {
		return err
	}
	if o.json {
		err = writeJSON(cmd.OutOrStdout(), found)
	} else {
		err = printPredictions(cmd.OutOrStdout(), found, false)
	}
	if failed += bad; err == nil && failed > 0 {
		err = errors.Errorf("%d of the files or folders could not be read", failed)
	}
	return err
}

// names are the classes of --classes and --classes-from, in this order.
func (o *classifyOptions) names(stdin io.Reader) ([]string, error) {
	if o.top < 1 {
		return nil, usagef("--top is %d, want 1 or more", o.top)
	}
	names := slices.Clone(o.classes)
	if o.classesFrom != "" {
		lines, err := readLines(o.classesFrom, stdin)
		if err != nil {
			return nil, errors.Wrap(err, "--classes-from")
		}
		names = append(names, lines...)
	}
	for i, n := range names {
		names[i] = strings.TrimSpace(n)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	if len(names) == 0 {
		return nil, usagef("there are no classes: name them with --classes or --classes-from")
	}
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return nil, usagef("class %q is named twice", n)
		}
	}
	return names, nil
}

// prompts are the templates to use.
func (o *classifyOptions) prompts() ([]string, error) {
	for _, t := range o.template {
		if !strings.Contains(t, "{}") {
			return nil, usagef("--template %q has no {} for the class", t)
		}
	}
	if len(o.template) > 0 {
		return o.template, nil
	}
	if !slices.Contains(clip.TemplateSets(), o.templates) {
		return nil, unknown("set of templates", o.templates, clip.TemplateSets())
	}
	return clip.Templates(o.templates)
}

// readLines reads the lines of a file, or of standard input for "-".
func readLines(path string, stdin io.Reader) ([]string, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var lines []string
	s := bufio.NewScanner(in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, strings.TrimSuffix(s.Text(), "\r"))
	}
	return lines, errors.Wrap(s.Err(), path)
}

// rankNames returns the top classes by probability, equal ones in their order.
func rankNames(names []string, p []float64, top int) []candidate {
	all := make([]candidate, len(names))
	for i, name := range names {
		all[i] = candidate{Index: i, Label: name, Probability: p[i]}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		switch {
		case a.Probability > b.Probability:
			return -1
		case a.Probability < b.Probability:
			return 1
		}
		return 0
	})
	return all[:min(top, len(all))]
}
