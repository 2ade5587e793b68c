package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"gorgonia.org/tensor"

	"tessera/train/data"
	"tessera/vit"
)

func newViTPredict() *cobra.Command {
	var (
		dir            string
		top            int
		asJSON, scores bool
	)
	cmd := &cobra.Command{
		Use:   "predict --model DIR FILE|FOLDER...",
		Short: "Classify image files",
		Long: `Classify image files, and those in folders, with the most probable classes
first. A file that cannot be read is reported and left out; the exit code is then
1.`,
		Example: `  tessera vit predict --model runs/shapes circle.png
  tessera vit predict --model runs/photos --top 1 --json holiday/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return usagef("--model is missing: name the folder of a model")
			}
			if top < 1 {
				return usagef("--top is %d, want 1 or more", top)
			}
			log := logger(cmd)
			c, err := loadClassifier(dir, vit.LoadOptions{}, log)
			if err != nil {
				return err
			}
			files, failed := imageFiles(args, log)
			found, bad, err := c.predict(cmd.Context(), files, top, scores, log)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), found)
			} else {
				err = printPredictions(cmd.OutOrStdout(), found, scores)
			}
			if failed += bad; err == nil && failed > 0 {
				err = errors.Errorf("%d of the files or folders could not be read", failed)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	f.IntVar(&top, "top", 5, "classes to print for each image")
	f.BoolVar(&scores, "logits", false, "print logits as well, in JSON those of all classes")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// imageFiles lists files as they are and the images in folders by name, at any
// depth. What cannot be listed is reported and counted.
func imageFiles(args []string, log *slog.Logger) (files []string, failed int) {
	fail := func(path string, err error) {
		failed++
		log.Warn("skipped", "path", path, "error", err.Error())
	}
	for _, arg := range args {
		before := len(files)
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			// A file that is missing is reported with those that are damaged.
			files = append(files, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				fail(path, err)
			case path != arg && strings.HasPrefix(e.Name(), ".") && e.IsDir():
				return filepath.SkipDir
			case !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && slices.Contains(imageSuffixes, strings.ToLower(filepath.Ext(path))):
				files = append(files, path)
			}
			return nil
		})
		if err == nil && len(files) == before {
			err = errors.New("the folder holds no images")
		}
		if err != nil {
			fail(arg, err)
		}
	}
	return files, failed
}

var imageSuffixes = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}

// prediction is what a model says of one file.
type prediction struct {
	File    string      `json:"file"`
	Classes []candidate `json:"classes"` // by falling probability
	Logits  []float32   `json:"logits,omitempty"`
}

type candidate struct {
	Index       int     `json:"index"`
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
	logit       float32
}

// predictBatch bounds how many images are in memory at once.
const predictBatch = 16

// predict classifies files in order. Those that cannot be read are reported,
// counted and left out.
func (c *classifier) predict(ctx context.Context, files []string, top int, logits bool, log *slog.Logger) (found []prediction, failed int, err error) {
	found = []prediction{} // an empty list in JSON
	f := &forward{model: c.Model}
	defer f.close()
	size := c.Channels * c.ImageSize * c.ImageSize
	pixels := make([]float32, predictBatch*size)
	var names []string
	flush := func() error {
		n := len(names)
		if n == 0 {
			return nil
		}
		out, err := f.logits(tensor.New(tensor.WithShape(n, c.Channels, c.ImageSize, c.ImageSize), tensor.WithBacking(pixels[:n*size:n*size])))
		if err != nil {
			return err
		}
		K := c.Classes()
		for i, name := range names {
			row := slices.Clone(out[i*K : (i+1)*K])
			p := prediction{File: name, Classes: c.rank(row, top)}
			if logits {
				p.Logits = row
			}
			found = append(found, p)
		}
		names = names[:0]
		return nil
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return nil, failed, errors.Wrapf(err, "stopped after %d images", len(found))
		}
		if err := c.read(file, pixels[len(names)*size:(len(names)+1)*size]); err != nil {
			failed++
			log.Warn("skipped", "image", file, "error", err.Error())
			continue
		}
		if names = append(names, file); len(names) == predictBatch {
			if err := flush(); err != nil {
				return nil, failed, err
			}
		}
	}
	return found, failed, flush()
}

// read decodes and preprocesses a file into dst (C, S, S).
func (c *classifier) read(file string, dst []float32) error {
	im, err := data.DecodeFile(file, 0)
	if err != nil {
		return err
	}
	if im, err = c.input.Apply(im); err != nil {
		return err
	}
	return c.input.Normalize(dst, im)
}

// rank returns the top classes by logit, equal ones in their order.
func (c *classifier) rank(logits []float32, top int) []candidate {
	all := make([]candidate, len(logits))
	for i, p := range logSoftmax(logits) {
		all[i] = candidate{Index: i, Label: c.Label(i), Probability: math.Exp(p), logit: logits[i]}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		switch {
		case a.logit > b.logit:
			return -1
		case a.logit < b.logit:
			return 1
		}
		return 0
	})
	return all[:min(top, len(all))]
}

func printPredictions(w io.Writer, found []prediction, logits bool) error {
	if len(found) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "file\tclass\tprobability"
	if logits {
		head += "\tlogit"
	}
	fmt.Fprintln(t, head)
	for _, p := range found {
		name := p.File
		for _, c := range p.Classes {
			fmt.Fprintf(t, "%s\t%s\t%.2f %%", name, c.Label, 100*c.Probability)
			if logits {
				fmt.Fprintf(t, "\t%.4f", c.logit)
			}
			fmt.Fprintln(t)
			name = "" // once for each file
		}
	}
	return t.Flush()
}
