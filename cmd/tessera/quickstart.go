package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/train"
)

// quickstartOptions are the flags of "quickstart".
type quickstartOptions struct {
	out            string
	images, epochs int
	seed           uint64
}

func newQuickstart() *cobra.Command {
	var o quickstartOptions
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Train a small CLIP in a minute and see what it can do",
		Long: `Train a small CLIP (arXiv:2103.00020) on drawn shapes with captions, which takes
about a minute on two cores, and see what it can do: classify combinations of
color and shape that it never saw together, find images by a text, and show which
parts of an image speak for a word.

The results are in DIR/report.html, one file that needs nothing else. Nothing is
downloaded, sent or opened. DIR also holds the model, as after

  tessera clip train --data shapes --epochs 12 --out DIR

and some images to try it on. An interrupted run goes on when the same command is
given again; a finished one is shown again. To start over, remove DIR.`,
		Example: `  tessera quickstart
  tessera quickstart --epochs 32 --seed 2 --out runs/longer`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.out, "out", "runs/quickstart", "folder of the results")
	f.IntVar(&o.epochs, "epochs", 12, "passes over the training images: more take longer and get further")
	f.IntVar(&o.images, "images", shapesTrain, "training images")
	f.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	return cmd
}

func (o *quickstartOptions) run(cmd *cobra.Command) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	r, checkpoint, err := o.training(cmd)
	if err != nil {
		return err
	}
	if err := r.open(checkpoint); err != nil {
		return err
	}
	defer r.Close()
	trained := exists(filepath.Join(o.out, "model.safetensors"))
	switch {
	case trained:
		fmt.Fprintf(stderr, "%s holds a finished run: here it is again. To start over, remove the folder or choose another with --out.\n", o.out)
	case checkpoint != "":
		fmt.Fprintf(stderr, "Going on with the run in %s.\n", o.out)
	default:
		fmt.Fprintf(stderr, "Training a CLIP of %s parameters on %s drawn images with captions, %d times over.\n",
			thousands(r.Params().Size()), thousands(r.parts.train.Len()), r.epochs)
	}
	if err := r.train(ctx, checkpoint); err != nil {
		return err
	}
	if !trained {
		fmt.Fprintf(stderr, "Trained in %.0f s. ", r.fit.took.Seconds())
	}
	fmt.Fprintf(stderr, "Measuring by %s images that it has not seen.\n", thousands(r.parts.test.Len()+r.held.Len()))
	found, err := r.explore(ctx)
	if err != nil {
		return err
	}
	commands, err := found.images(o.out, program(os.Args[0]))
	if err != nil {
		return err
	}
	if err := found.report(ctx, filepath.Join(o.out, "report.html"), commands); err != nil {
		return err
	}
	// The model comes last: where it is, everything is.
	if err := r.save(o.out); err != nil {
		return err
	}
	return found.print(cmd.OutOrStdout(), filepath.Join(o.out, "report.html"), commands)
}

// training is a run of "clip train": that in the folder of the results, with
// its last checkpoint, or else a new one.
func (o *quickstartOptions) training(cmd *cobra.Command) (r *clipRun, checkpoint string, err error) {
	// The parts of the data and the captions of the report want some.
	const least = 1000
	if o.images < least {
		return nil, "", usagef("--images is %d, want %s or more", o.images, thousands(least))
	}
	if o.epochs < 1 {
		return nil, "", usagef("--epochs is %d, want 1 or more", o.epochs)
	}
	if o.out == "" {
		return nil, "", usagef("--out is empty: name a folder for the results")
	}
	if checkpoint, _, err = train.Latest(filepath.Join(o.out, "checkpoints")); err != nil {
		return nil, "", errors.Wrapf(err, "--out %s", o.out)
	}
	if checkpoint == "" {
		if err := o.wantNew(); err != nil {
			return nil, "", err
		}
	}
	s := &clipSettings{}
	f := pflag.NewFlagSet("clip train", pflag.ContinueOnError)
	s.bind(f)
	for _, x := range []struct{ name, own, value string }{
		{"out", "", o.out},
		{"data", "images", "shapes:" + strconv.Itoa(o.images)},
		{"epochs", "epochs", strconv.Itoa(o.epochs)},
		{"seed", "seed", strconv.FormatUint(o.seed, 10)},
	} {
		// A run that goes on has values of its own for those not given.
		if x.own != "" && checkpoint != "" && !cmd.Flags().Changed(x.own) {
			continue
		}
		if err := f.Set(x.name, x.value); err != nil {
			return nil, "", errors.Wrapf(err, "--%s", x.name)
		}
	}
	if checkpoint == "" {
		if err := s.suit(f); err != nil {
			return nil, "", err
		}
	} else if err := takeUp(f, checkpoint); err != nil {
		return nil, "", err
	}
	if err := s.check(); err != nil {
		return nil, "", err
	}
	if spec, err := parseClipSpec(s.data); err != nil || spec.kind != "shapes" || s.heldOut == 0 {
		return nil, "", errors.Errorf("--out %s holds a run on %s: choose another folder", o.out, s.data)
	}
	run := newFit(cmd, &s.fitting, "CLIP on "+s.data)
	run.trainer.Settings, run.again = fingerprint(f), "the same command goes on from there"
	return &clipRun{clipSettings: s, fit: run, log: logger(cmd)}, checkpoint, nil
}

// wantNew rejects a folder that holds more than what a run leaves that ended
// before its first checkpoint.
func (o *quickstartOptions) wantNew() error {
	entries, err := os.ReadDir(o.out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Wrapf(err, "--out %s", o.out)
	}
	for _, e := range entries {
		if e.Name() != "metrics.jsonl" && e.Name() != "checkpoints" {
			return errors.Errorf("--out %s holds %s and no checkpoint to go on from: choose another folder, or remove it", o.out, e.Name())
		}
	}
	return nil
}

// program is how a command line begins that calls this program again, argv0
// being how it was called.
func program(argv0 string) string {
	dir := filepath.ToSlash(filepath.Dir(argv0))
	switch {
	case strings.Contains(dir, "/go-build") && strings.HasSuffix(dir, "/exe"): // by go run
		if exists("cmd/tessera/main.go") {
			return "go run ./cmd/tessera"
		}
		return "go run tessera/cmd/tessera"
	case dir == "." && !strings.ContainsAny(argv0, `/\`): // found by the shell
		return argv0
	}
	return quoted(argv0)
}

// quoted is a word of a command line for a POSIX shell.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,=+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// print tells what was reached and what to do next.
func (x *exploration) print(w io.Writer, report string, commands []suggestion) error {
	var out strings.Builder
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	all := len(x.texts.classes)
	for _, p := range []struct {
		name string
		part *gallery
	}{{"combinations never seen", x.held}, {"combinations seen", x.test}} {
		fmt.Fprintf(t, "%s\t%s right among %d names (%s of %s images)\n", p.name,
			atLeast(p.part.Accuracy()), all, thousands(p.part.right()), thousands(len(p.part.guesses)))
	}
	fmt.Fprintf(t, "by chance\t%s\n", atLeast(1/float64(all)))
	fmt.Fprintf(t, "images found by text\t%s\n", x.toImage)
	for _, q := range x.searches {
		fmt.Fprintf(t, "%q\t%d of the first %d fit, of %d in all\n", q.Text, q.Fitting(), len(q.Hits), q.All)
	}
	fmt.Fprintf(t, "report\t%s\n", report)
	if err := t.Flush(); err != nil {
		return err
	}
	out.WriteString("\nTry next:\n")
	for _, c := range commands[:3] {
		fmt.Fprintf(&out, "  # %s\n  %s\n", c.What, c.Command)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
