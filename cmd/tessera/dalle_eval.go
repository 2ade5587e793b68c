package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/dalle"
	"tessera/train"
	"tessera/train/data"
	"tessera/vit"
)

func newDALLEEval() *cobra.Command {
	var e dalleEval
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval --model DIR --data SPEC",
		Short: "Measure how well images fit their texts",
		Long: `Measure the negative log-likelihood of the tokens of images given their captions
and given those of other images: a model that reads its texts finds the latter
worse.

Also draw images from captions of all classes in turn and count those to which a
judge gives the class of the caption: with --judge, a classifier of "tessera vit
train" with the classes of the data. Shapes need none: their color and outline
are measured. Beside it stands what the judge makes of the true images, drawn from
their tokens.

With --hold-out, as in training on shapes, images of the pairs of color and shape
held out are counted apart.`,
		Example: `  tessera dalle eval --model runs/dalle --data shapes --n 300 --hold-out 6
  tessera dalle eval --model runs/dalle --data fashion-mnist:data/fashion --judge runs/fashion`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.check(); err != nil {
				return err
			}
			e.log, e.stderr, e.clock = logger(cmd), cmd.ErrOrStderr(), time.Now
			s, err := e.run(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			return s.print(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&e.dir, "model", "", "folder of the model")
	f.StringVar(&e.data.spec, "data", "", "data set: "+dataForms+" or the path of a folder")
	f.StringVar(&e.data.split, "split", "", "part of the data: train, val or test (default test, or val where there is none)")
	f.Float64Var(&e.data.val, "val", -1, "share of the training images that were held out, as for training")
	f.Uint64Var(&e.data.seed, "seed", 1, "seed of the training run, which chose what was held out")
	bindTemplate(f, &e.template)
	f.IntVar(&e.holdOut, "hold-out", 0, "pairs of color and shape that were left out of training, of shapes")
	f.IntVar(&e.images, "images", 2000, "images to measure the likelihood of, evenly spaced; 0: all")
	f.IntVar(&e.data.batch, "batch", 64, "images of a batch")
	f.StringVar(&e.judge, "judge", "", "folder of a classifier that judges drawn images; for shapes none is needed")
	f.IntVar(&e.n, "n", 200, "images to draw for the judge")
	e.drawing.bind(f)
	f.Uint64Var(&e.drawing.seed, "draw-seed", 1, "of the draws")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// dalleEval are the flags of "dalle eval".
type dalleEval struct {
	drawing
	data                 vqvaeData
	dir, template, judge string
	holdOut, images, n   int

	log    *slog.Logger
	stderr io.Writer
	clock  func() time.Time
}

func (e *dalleEval) check() error {
	switch {
	case e.holdOut < 0:
		return usagef("--hold-out is %d, want 0 or more", e.holdOut)
	case e.images < 0:
		return usagef("--images is %d, want 0 or more", e.images)
	case e.n < 1:
		return usagef("--n is %d, want 1 or more", e.n)
	}
	return e.drawing.check()
}

// fidelity is the result of an evaluation.
type fidelity struct {
	Model       string  `json:"model"`
	Data        string  `json:"data"`
	Split       string  `json:"split"`
	Images      int     `json:"images"`
	NLL         float64 `json:"nll"`          // nats per image token
	ShuffledNLL float64 `json:"nll_shuffled"` // given the captions of other images
	Judged      *judged `json:"judged,omitempty"`
}

func (e *dalleEval) run(ctx context.Context, f *pflag.FlagSet) (*fidelity, error) {
	p, err := loadPainter(e.dir)
	if err != nil {
		return nil, err
	}
	e.fit(p, f, e.log)
	ds, split, err := e.data.open(p.image.Config)
	if err != nil {
		return nil, err
	}
	j, err := e.newJudge(p, ds)
	if err != nil {
		return nil, err
	}
	if e.images > 0 {
		ds = data.Take(ds, e.images)
	}
	bar := counting(e.stderr, "tokens of images", ds.Len(), e.clock)
	images, err := encodeCaptioned(ctx, p.image, ds, e.template, e.log, bar)
	if err != nil {
		return nil, err
	}
	s := &fidelity{Model: e.dir, Data: e.data.spec, Split: split, Images: len(images)}
	if s.NLL, err = e.likelihood(ctx, p, images); err != nil {
		return nil, err
	}
	others, err := shuffled(images)
	if err != nil {
		return nil, err
	}
	if s.ShuffledNLL, err = e.likelihood(ctx, p, others); err != nil {
		return nil, err
	}
	if j != nil {
		s.Judged, err = e.judgeAll(ctx, j, images)
	}
	return s, err
}

// newJudge returns a judge of images of the data, or nil if there is none.
func (e *dalleEval) newJudge(p *painter, ds data.Dataset) (*judge, error) {
	_, shapes := ds.(data.Shapes)
	held, err := e.held(shapes)
	if err != nil {
		return nil, err
	}
	j := &judge{painter: p, name: e.judge, label: make([]int, len(ds.Classes())), held: make([]bool, len(ds.Classes()))}
	for i, name := range ds.Classes() {
		j.label[i], j.held[i] = i, held[name]
	}
	if e.judge == "" {
		if !shapes || p.image.Channels != 3 {
			return nil, nil
		}
		j.name, j.see = "measured", shapesSeen()
		return j, nil
	}
	c, err := loadClassifier(e.judge, vit.LoadOptions{}, e.log)
	if err != nil {
		return nil, err
	}
	known, err := relabel(ds, labels(c.Config), e.data.spec)
	if err != nil {
		return nil, errors.Wrapf(err, "--judge %s", e.judge)
	}
	if r, ok := known.(relabeled); ok {
		j.label = r.label
	}
	j.see = c.see
	return j, nil
}

// held are the classes that were held out of training.
func (e *dalleEval) held(shapes bool) (map[string]bool, error) {
	if e.holdOut == 0 {
		return nil, nil
	}
	if !shapes {
		return nil, usagef("--hold-out %d: only shapes have pairs of color and shape to hold out", e.holdOut)
	}
	_, pairs, err := data.HoldOut(e.holdOut, e.data.seed)
	held := map[string]bool{}
	for _, pair := range pairs {
		held[pair.String()] = true
	}
	return held, err
}

// likelihood is the mean negative log-likelihood of image tokens.
func (e *dalleEval) likelihood(ctx context.Context, p *painter, images []captioned) (float64, error) {
	l := &dalle.Loader{Config: p.Config, Pairs: p.pairs(images), BatchSize: e.data.batch}
	r, err := train.Evaluate(ctx, train.Objective(p.Model), l.Epoch(), l.BatchSize)
	return r.Metrics["image_loss"], err
}

func (s *fidelity) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s NLL\t%.4f nats/token\t(%s images)\n", s.Split, s.NLL, thousands(s.Images))
	fmt.Fprintf(t, "with shuffled captions\t%.4f nats/token\n", s.ShuffledNLL)
	if j := s.Judged; j != nil {
		row := func(name string, c count) {
			fmt.Fprintf(t, "%s\t%.2f %%\t(%s of %s images)\n", name, 100*c.Share, thousands(c.Right), thousands(c.Images))
		}
		row("drawn images of the right class", j.Drawn)
		if j.Held != nil {
			row("of classes held out", *j.Held)
		}
		row("true images from their tokens", j.Reconstructed)
	}
	return t.Flush()
}
