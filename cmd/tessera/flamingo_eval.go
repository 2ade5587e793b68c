package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/flamingo"
	"tessera/train/data"
)

func newFlamingoEval() *cobra.Command {
	var e flamingoEval
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval --model DIR --data SPEC",
		Short: "Measure captions and answers after some examples",
		Long: `Let a model write captions and answer questions, after as many examples as --shots
says, drawn from the training part of the data, and compare them with the right
ones: the share that is exactly right, but for case and punctuation, and for
captions BLEU-4 (0 to 1) and CIDEr (0 to 10).

With --hold-out, as in training on shapes, images of the pairs of color and shape
held out are counted apart.

Of shapes-words it is asked, too, what a color is called, by words that are not in
the training texts of that data: only the examples say, half of which show another
color with a name of its own.`,
		Example: `  tessera flamingo eval --model runs/flamingo --data shapes --hold-out 6
  tessera flamingo eval --model runs/flamingo --data shapes --shots 0,4,8 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.check(); err != nil {
				return err
			}
			e.log, e.stderr, e.clock = logger(cmd), cmd.ErrOrStderr(), time.Now
			s, err := e.run(cmd.Context())
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
	e.folders.bind(f)
	f.StringVar(&e.data, "data", "", "data set: "+flamingoForms+" or the path of a folder")
	f.Float64Var(&e.val, "val", -1, "share of the training images that were held out, as for training")
	f.Uint64Var(&e.seed, "seed", 1, "seed of the training run, which chose what was held out, and of the examples")
	bindTemplate(f, &e.template)
	f.IntVar(&e.holdOut, "hold-out", 0, "pairs of color and shape that were left out of training, of shapes")
	f.IntSliceVar(&e.shots, "shots", []int{0, 1, 2, 4}, "numbers of examples")
	f.IntVar(&e.n, "n", 200, "images of a part to ask about, evenly spaced; 0: all")
	f.IntVar(&e.batch, "batch", 32, "images of a batch")
	f.IntVar(&e.maxTokens, "max-tokens", 32, "tokens of an answer, at most")
	f.IntVar(&e.beams, "beams", 1, "continuations that beam search follows; 1: the likeliest token each time")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// describerFolders are the flags that name a model.
type describerFolders struct{ dir, language, vision, cache string }

func (o *describerFolders) bind(f *pflag.FlagSet) {
	f.StringVar(&o.dir, "model", "", "folder of the model")
	f.StringVar(&o.language, "language", "", "folder of its language model (default language in --model)")
	f.StringVar(&o.vision, "vision", "", "folder of its vision tower (default vision in --model)")
	bindCache(f, &o.cache)
}

// bindCache binds the flag of the folder of patches.
func bindCache(f *pflag.FlagSet, cache *string) {
	f.StringVar(cache, "cache", "", "folder that keeps what the tower makes of images, from one run to the next")
}

// flamingoEval are the flags of "flamingo eval".
type flamingoEval struct {
	folders                             describerFolders
	data, template                      string
	val                                 float64
	seed                                uint64
	shots                               []int
	holdOut, n, batch, maxTokens, beams int

	log    *slog.Logger
	stderr io.Writer
	clock  func() time.Time
}

func (e *flamingoEval) check() error {
	if e.data == "" {
		return usagef("--data is missing, want %s or a folder", flamingoForms)
	}
	return within(
		valShare(e.val),
		limited{"hold-out", float64(e.holdOut), e.holdOut >= 0, "0 or more"},
		limited{"n", float64(e.n), e.n >= 0, "0 or more"},
		limited{"batch", float64(e.batch), e.batch >= 1, "1 or more"},
		limited{"max-tokens", float64(e.maxTokens), e.maxTokens >= 1, "1 or more"},
		limited{"beams", float64(e.beams), e.beams >= 1, "1 or more"},
		limited{"shots", float64(len(e.shots)), len(e.shots) > 0 && slices.Min(e.shots) >= 0, "numbers of 0 or more"},
	)
}

// described is the result of an evaluation.
type described struct {
	Model string        `json:"model"`
	Data  string        `json:"data"`
	Parts []partOfShots `json:"parts"`
}

// partOfShots is how well a part of the data was described after some examples.
type partOfShots struct {
	Part      string   `json:"part"` // test, val or held-out
	Shots     int      `json:"shots"`
	Images    int      `json:"images"`
	Exact     float64  `json:"exact_match"` // share of captions
	BLEU      float64  `json:"bleu4"`
	CIDEr     float64  `json:"cider"`
	Questions int      `json:"questions"`
	Accuracy  float64  `json:"accuracy"`        // share of questions answered rightly
	Names     *float64 `json:"names,omitempty"` // share of colors called by their new names, if those are asked for
}

func (e *flamingoEval) run(ctx context.Context) (*described, error) {
	d, err := loadDescriber(e.folders, e.log)
	if err != nil {
		return nil, err
	}
	p, err := openFlamingoData(e.data, d.tower.side, e.holdOut, e.val, e.seed)
	if err != nil {
		return nil, err
	}
	look := func(name string, ds data.Dataset, n int) ([]asked, error) {
		ds = some(ds, n)
		images, err := lookAndAsk(ctx, d.tower, ds, e.template, e.log, counting(e.stderr, "patches of "+name+" images", ds.Len(), e.clock))
		return images, errors.Wrapf(err, "%s images", name)
	}
	var words []string
	if p.names {
		_, words = data.NamingWords()
	}
	examples := &album{}
	if slices.Max(e.shots) > 0 {
		images, err := look("train", p.train, 1000)
		if err != nil {
			return nil, err
		}
		examples = newAlbum(images, words)
	}
	s := &described{Model: e.folders.dir, Data: e.data}
	name, test := "test", p.test
	if test == nil {
		name, test = "val", p.val
	}
	for _, part := range []struct {
		name string
		data data.Dataset
	}{{name, test}, {"held-out", p.held}} {
		if part.data == nil {
			continue
		}
		images, err := look(part.name, part.data, e.n)
		if err != nil {
			return nil, err
		}
		for _, k := range e.shots {
			r, err := e.measure(ctx, d, newAlbum(images, words), examples, k, part.name)
			if err != nil {
				return nil, errors.WithMessagef(err, "%s images after %d examples", part.name, k)
			}
			s.Parts = append(s.Parts, r)
		}
	}
	if len(s.Parts) == 0 {
		return nil, errors.New("the data has no part for tests or validation: hold one out with --val")
	}
	return s, nil
}

// aboutNames is the kind of prompts that ask what a color is called.
const aboutNames = -1

// measure asks everything about all images.
func (e *flamingoEval) measure(ctx context.Context, d *describer, a, examples *album, shots int, part string) (partOfShots, error) {
	r := partOfShots{Part: part, Shots: shots, Images: len(a.images)}
	var prompts []flamingo.Sequence
	var wanted []string
	var kinds []int // of the prompts: 0 for captions
	for i, im := range a.images {
		for kind, a := range im.asks {
			rng := rand.New(rand.NewPCG(e.seed, uint64(i)<<8|uint64(kind)))
			var chunks []chunk
			for range shots {
				chunks = append(chunks, examples.images[rng.IntN(len(examples.images))].chunk(kind))
			}
			prompts = append(prompts, d.sequence(append(chunks, chunk{image: im.image, prompt: a.prompt})...))
			kinds, wanted = append(kinds, kind), append(wanted, a.answer)
		}
		if len(a.words) > 0 {
			chunks := a.named(examples, i, shots, rand.New(rand.NewPCG(e.seed, uint64(i)<<8|255)))
			last := &chunks[len(chunks)-1]
			kinds, wanted = append(kinds, aboutNames), append(wanted, last.answer)
			last.answer = ""
			prompts = append(prompts, d.sequence(chunks...))
		}
	}
	answers, err := e.answer(ctx, d, prompts, fmt.Sprintf("%s answers after %d examples", part, shots))
	if err != nil {
		return r, err
	}
	var captions, references []string
	exact, right, names := 0, 0, 0
	for i, answer := range answers {
		count := &right
		switch kinds[i] {
		case 0:
			captions, references = append(captions, answer), append(references, wanted[i])
			count = &exact
		case aboutNames:
			count = &names
		default:
			r.Questions++
		}
		if slices.Equal(flamingo.Words(answer), flamingo.Words(wanted[i])) {
			*count++
		}
	}
	r.Exact = float64(exact) / float64(max(1, len(captions)))
	r.Accuracy = float64(right) / float64(max(1, r.Questions))
	if len(a.words) > 0 {
		share := float64(names) / float64(max(1, len(a.images)))
		r.Names = &share
	}
	r.BLEU, r.CIDEr = flamingo.BLEU(captions, references), flamingo.CIDEr(captions, references)
	return r, nil
}

// answer continues prompts, those of about the same length together.
func (e *flamingoEval) answer(ctx context.Context, d *describer, prompts []flamingo.Sequence, what string) ([]string, error) {
	order := make([]int, len(prompts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(prompts[a].IDs) - len(prompts[b].IDs) })
	bar := counting(e.stderr, what, len(prompts), e.clock)
	out := make([]string, len(prompts))
	done := 0
	for rows := range slices.Chunk(order, e.batch) {
		var batch []flamingo.Sequence
		for _, i := range rows {
			batch = append(batch, prompts[i])
		}
		o := flamingo.GenerateOptions{MaxTokens: e.maxTokens, Beams: e.beams, Stop: []int{d.tokens.End()}}
		texts, err := d.Generate(ctx, batch, o)
		if err != nil {
			return nil, err
		}
		for k, i := range rows {
			out[i] = strings.TrimSpace(d.tokens.Decode(texts[k]))
		}
		done += len(rows)
		if err := bar(done); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *described) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "images\texamples\tcaptions exactly right\tBLEU-4\tCIDEr\tquestions answered rightly\tnew names")
	for _, p := range s.Parts {
		fmt.Fprintf(t, "%s (%s)\t%d\t%.1f %%\t%.3f\t%.2f\t", p.Part, thousands(p.Images), p.Shots, 100*p.Exact, p.BLEU, p.CIDEr)
		if p.Questions > 0 {
			fmt.Fprintf(t, "%.1f %% of %s", 100*p.Accuracy, thousands(p.Questions))
		}
		if p.Names != nil {
			fmt.Fprintf(t, "\t%.1f %%", 100**p.Names)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
