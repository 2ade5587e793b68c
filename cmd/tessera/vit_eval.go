package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/train/data"
	"tessera/vit"
)

func newViTEval() *cobra.Command {
	var (
		dir, spec, split string
		val              float64
		batch, workers   int
		seed             uint64
		asJSON           bool
	)
	cmd := &cobra.Command{
		Use:   "eval --model DIR --data SPEC",
		Short: "Measure the accuracy of a classifier",
		Long: `Measure accuracy and loss on a part of a data set, in total and by class.

Data sets are named as for "tessera vit train"; to measure the part that a
training run held out, give its --val and --seed.`,
		Example: `  tessera vit eval --model runs/shapes --data shapes
  tessera vit eval --model runs/photos --data photos --split val --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case dir == "":
				return usagef("--model is missing: name the folder of a model")
			case spec == "":
				return usagef("--data is missing, want %s or a folder", dataForms)
			}
			if err := within(limited{"batch", float64(batch), batch >= 1, "1 or more"}, valShare(val)); err != nil {
				return err
			}
			log := logger(cmd)
			d, err := parseDataSpec(spec)
			if err != nil {
				return err
			}
			c, err := loadClassifier(dir, vit.LoadOptions{}, log)
			if err != nil {
				return err
			}
			parts, err := d.open(c.ImageSize, val, seed)
			if err != nil {
				return err
			}
			ds, name, err := parts.part(split)
			if err != nil {
				return err
			}
			if ds, err = relabel(ds, labels(c.Config), spec); err != nil {
				return errors.Wrapf(err, "model %s", dir)
			}
			s, err := c.score(cmd.Context(), ds, batch, workers, log)
			if err != nil {
				return err
			}
			s.Model, s.Data, s.Split = dir, spec, name
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			return s.print(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	f.StringVar(&spec, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&split, "split", "", "part of the data: train, val or test (default test, or val where there is none)")
	f.Float64Var(&val, "val", -1, "share of the training images that were held out, as for training")
	f.Uint64Var(&seed, "seed", 1, "seed of the training run, which chose the images held out")
	f.IntVar(&batch, "batch", 128, "images of a batch")
	f.IntVar(&workers, "workers", 0, "goroutines that prepare images; 0: one for each processor")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// score is the result of an evaluation.
type score struct {
	Model           string       `json:"model"`
	Data            string       `json:"data"`
	Split           string       `json:"split"`
	Images          int          `json:"images"`
	Accuracy        float64      `json:"accuracy"`
	Loss            float64      `json:"loss"`
	Classes         []classScore `json:"classes"` // those that occur
	ImagesPerSecond float64      `json:"images_per_second"`
}

type classScore struct {
	Label    string  `json:"label"`
	Images   int     `json:"images"`
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	// The wrong class given most often, if any.
	TakenFor string `json:"taken_for,omitempty"`
	Taken    int    `json:"taken,omitempty"`
}

// score evaluates the classifier on all of ds.
func (c *classifier) score(ctx context.Context, ds data.Dataset, batch, workers int, log *slog.Logger) (*score, error) {
	l := &data.Loader{
		Dataset: ds, BatchSize: batch, Workers: workers,
		Inputs: []data.Input{data.Images(c.input, nil), data.Labels(c.Classes(), 0)},
		OnSkip: func(name string, err error) { log.Warn("skipped", "image", name, "error", err.Error()) },
	}
	f := &forward{model: c.Model}
	defer f.close()
	s := &score{}
	given := make([]map[int]int, c.Classes()) // by true class: how often each was given
	start := time.Now()
	for m, err := range l.Epoch() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Wrapf(err, "evaluation stopped after %d images", s.Images)
		}
		logits, err := f.logits(m.Batch["image"])
		if err != nil {
			return nil, err
		}
		truth := m.Batch["label"].Float32s()
		K := c.Classes()
		for i := range m.Index {
			row, label := logits[i*K:(i+1)*K], argmax(truth[i*K:(i+1)*K])
			s.Loss -= logSoftmax(row)[label]
			if given[label] == nil {
				given[label] = map[int]int{}
			}
			given[label][argmax(row)]++
			s.Images++
		}
	}
	if s.Images == 0 {
		return nil, errors.New("there are no images to evaluate")
	}
	s.ImagesPerSecond = float64(s.Images) / time.Since(start).Seconds()
	s.Loss /= float64(s.Images)
	s.count(given, labels(c.Config))
	return s, nil
}

// count fills in the classes and the accuracy.
func (s *score) count(given []map[int]int, names []string) {
	correct := 0
	for label, row := range given {
		if row == nil {
			continue
		}
		x := classScore{Label: names[label], Correct: row[label]}
		for other, name := range names {
			x.Images += row[other]
			if other != label && row[other] > x.Taken {
				x.TakenFor, x.Taken = name, row[other]
			}
		}
		x.Accuracy = float64(x.Correct) / float64(x.Images)
		s.Classes = append(s.Classes, x)
		correct += x.Correct
	}
	s.Accuracy = float64(correct) / float64(s.Images)
}

func (s *score) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "class\timages\tcorrect\taccuracy\tmost often taken for")
	for _, c := range s.Classes {
		taken := ""
		if c.Taken > 0 {
			taken = fmt.Sprintf("%s (%d)", c.TakenFor, c.Taken)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.2f %%\t%s\n", c.Label, c.Images, c.Correct, 100*c.Accuracy, taken)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%s accuracy\t%.2f %%\nloss\t%.4f\nimages\t%s\nimages/s\t%.1f\n",
		s.Split, 100*s.Accuracy, s.Loss, thousands(s.Images), s.ImagesPerSecond)
	return t.Flush()
}

// writeJSON prints v indented.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return errors.WithStack(e.Encode(v))
}
