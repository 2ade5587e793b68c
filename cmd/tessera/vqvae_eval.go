package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/train/data"
	"tessera/vqvae"
)

// vqvaeData are the flags that choose images of a data set for a model.
type vqvaeData struct {
	spec, split    string
	val            float64
	seed           uint64
	batch, workers int
}

func (o *vqvaeData) bind(f *pflag.FlagSet) {
	f.StringVar(&o.spec, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&o.split, "split", "", "part of the data: train, val or test (default test, or val where there is none)")
	f.Float64Var(&o.val, "val", -1, "share of the training images that were held out, as for training")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the training run, which chose the images held out")
	f.IntVar(&o.batch, "batch", 64, "images of a batch")
	f.IntVar(&o.workers, "workers", 0, "goroutines that prepare images; 0: one for each processor")
}

// open returns the chosen part of the data and its name.
func (o *vqvaeData) open(c vqvae.Config) (data.Dataset, string, error) {
	if o.spec == "" {
		return nil, "", usagef("--data is missing, want %s or a folder", dataForms)
	}
	if err := within(limited{"batch", float64(o.batch), o.batch >= 1, "1 or more"}, valShare(o.val)); err != nil {
		return nil, "", err
	}
	d, err := parseDataSpec(o.spec)
	if err != nil {
		return nil, "", err
	}
	parts, err := d.open(c.ImageSize, o.val, o.seed)
	if err != nil {
		return nil, "", err
	}
	return parts.part(o.split)
}

// load makes the batches of a data set.
func (o *vqvaeData) load(ds data.Dataset, c vqvae.Config, log *slog.Logger) *data.Loader {
	return &data.Loader{
		Dataset: ds, BatchSize: o.batch, Workers: o.workers,
		Inputs: []data.Input{data.Images(pixels(c), nil)},
		OnSkip: func(name string, err error) { log.Warn("skipped", "image", name, "error", err.Error()) },
	}
}

func newVQVAEEval() *cobra.Command {
	var (
		dir    string
		o      vqvaeData
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "eval --model DIR --data SPEC",
		Short: "Measure how well images survive as tokens",
		Long: `Measure the reconstructions of a part of a data set: mean squared error of pixels
from 0 to 1, the PSNR it amounts to, SSIM, and how many codes are used, in total
and as if evenly (perplexity).

Data sets are named as for "tessera vqvae train".`,
		Example: `  tessera vqvae eval --model runs/tokens --data shapes
  tessera vqvae eval --model runs/tokens --data photos --split val --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := loadVQVAE(dir)
			if err != nil {
				return err
			}
			ds, split, err := o.open(m.Config)
			if err != nil {
				return err
			}
			q, err := measureVQVAE(cmd.Context(), m, o.load(ds, m.Config, logger(cmd)))
			if err != nil {
				return err
			}
			q.Model, q.Data, q.Split = dir, o.spec, split
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), q)
			}
			return q.print(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	o.bind(f)
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// quality is the result of an evaluation.
type quality struct {
	Model           string  `json:"model"`
	Data            string  `json:"data"`
	Split           string  `json:"split"`
	Images          int     `json:"images"`
	MSE             float64 `json:"mse"`        // of pixels from 0 to 1
	PSNR            float64 `json:"psnr"`       // decibels, of that error
	SSIM            float64 `json:"ssim"`       // mean over images
	Codes           int     `json:"codes"`      // of the codebook
	Used            int     `json:"codes_used"` // by these images
	Perplexity      float64 `json:"perplexity"`
	ImagesPerSecond float64 `json:"images_per_second"`
}

// measureVQVAE turns all images of a loader into tokens and back.
func measureVQVAE(ctx context.Context, m *vqvae.Model, l *data.Loader) (*quality, error) {
	t := m.Tokenizer()
	defer t.Close()
	q := &quality{Codes: m.NumEmbeddings}
	uses := make([]int, m.NumEmbeddings)
	span := m.PixelRange[1] - m.PixelRange[0]
	size := m.Channels * m.ImageSize * m.ImageSize
	start := time.Now()
	for batch, err := range l.Epoch() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, errors.Wrapf(err, "evaluation stopped after %d images", q.Images)
		}
		ids, err := t.Encode(batch.Batch["image"])
		if err != nil {
			return nil, err
		}
		drawn, err := t.Decode(ids)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			uses[id]++
		}
		x, y := batch.Batch["image"].Float32s(), drawn.Float32s()
		for i := range batch.Index {
			a, b := x[i*size:(i+1)*size], y[i*size:(i+1)*size]
			for j, v := range a {
				d := float64(v-b[j]) / span
				q.MSE += d * d / float64(size)
			}
			q.SSIM += m.SSIM(a, b)
			q.Images++
		}
	}
	if q.Images == 0 {
		return nil, errors.New("there are no images to evaluate")
	}
	n := float64(q.Images)
	q.ImagesPerSecond = n / time.Since(start).Seconds()
	q.MSE, q.SSIM = q.MSE/n, q.SSIM/n
	q.PSNR = min(999, -10*math.Log10(q.MSE)) // JSON has no infinity
	entropy := 0.0
	for _, k := range uses {
		if k > 0 {
			p := float64(k) / (n * float64(m.Tokens()))
			entropy -= p * math.Log(p)
			q.Used++
		}
	}
	q.Perplexity = math.Exp(entropy)
	return q, nil
}

func (q *quality) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s MSE\t%.5f\nPSNR\t%.2f dB\nSSIM\t%.4f\ncodes used\t%d of %d\nperplexity\t%.1f\nimages\t%s\nimages/s\t%.1f\n",
		q.Split, q.MSE, q.PSNR, q.SSIM, q.Used, q.Codes, q.Perplexity, thousands(q.Images), q.ImagesPerSecond)
	return t.Flush()
}
