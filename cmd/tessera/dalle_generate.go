package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gorgonia.org/tensor"

	"tessera/dalle"
	"tessera/layers/sample"
	"tessera/train/data"
	"tessera/vqvae"
)

// drawing are the flags that say how images are drawn. An image is as good as its
// worst token, and small models give wrong ones more probability, together, than
// an image of dozens of tokens can bear. So unlikely tokens are never drawn unless
// asked for, which lets guidance do with little: more of it lifts tokens that are
// unlikely both with and without the text.
type drawing struct {
	sampler  sample.Sampler
	guidance float64
	seed     uint64
}

func (o *drawing) bind(f *pflag.FlagSet) {
	f.Float64Var(&o.sampler.Temperature, "temperature", 0.7, "divides scores: less than 1 for likelier images, 0 for the likeliest tokens")
	f.IntVar(&o.sampler.TopK, "top-k", 0, "draw from the k likeliest tokens; 0: from all")
	f.Float64Var(&o.sampler.TopP, "top-p", 0, "draw from the fewest tokens that have this probability together; 0: from all")
	f.Float64Var(&o.sampler.MinP, "min-p", 0.1, "draw from tokens of at least this share of the greatest probability; 0: from all")
	f.Float64Var(&o.guidance, "guidance", 1.5, "how far to exaggerate the influence of the text, for models trained with --text-dropout, others having 1; 1: not")
}

// fit takes the guidance from a model that knows no empty text, unless it was
// asked for.
func (o *drawing) fit(p *painter, f *pflag.FlagSet, log *slog.Logger) {
	switch {
	case p.TextDropout > 0:
	case !f.Changed("guidance"):
		o.guidance = 1
	case o.guidance != 1:
		log.Warn("the model was trained without --text-dropout: guidance has no meaning", "guidance", o.guidance)
	}
}

func (o *drawing) check() error {
	if err := o.sampler.Validate(); err != nil {
		return usageError{err}
	}
	if !(o.guidance >= 0) || math.IsInf(o.guidance, 1) {
		return usagef("--guidance is %g, want 0 or more", o.guidance)
	}
	return nil
}

func newDALLEGenerate() *cobra.Command {
	var g generating
	cmd := &cobra.Command{
		Use:   "generate --model DIR --text TEXT --out FILE.png|DIR",
		Short: "Draw images from a text",
		Long: `Draw images from a text, or from several: a PNG with a row for each text, or with
all images of a single one, if --out ends in .png, and otherwise a folder of
images, numbered from 0. Equal seeds give equal images.

--temperature 1 --min-p 0 --guidance 1 draws from all that the model holds for
possible. Otherwise images vary less and show more often what the text says.

With --image and --rows, all begin with the upper rows of tokens of that image.
With --rank, a CLIP model orders the images of a text by how like it they are, and
--best keeps the first. With --watch, the pictures drawn so far are written to a folder after every row
of tokens.`,
		Example: `  tessera dalle generate --model runs/dalle --text "a small red circle" --n 8 --out grid.png
  tessera dalle generate --model runs/dalle --text "a large blue star" --top-k 100 --temperature 0.9 --guidance 3 --seed 7 --out grid.png
  tessera dalle generate --model runs/dalle --text "a blue star" --image half.png --rows 4 --out completed
  tessera dalle generate --model runs/dalle --text "a small red circle" --n 32 --rank runs/clip --best 8 --out best.png`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.check(); err != nil {
				return err
			}
			return g.run(cmd)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&g.dir, "model", "", "folder of the model")
	f.StringArrayVar(&g.texts, "text", nil, "what to draw; may be given several times")
	f.StringVarP(&g.out, "out", "o", "", "PNG file or folder to write")
	f.IntVar(&g.n, "n", 8, "images of each text")
	g.bind(f)
	f.Uint64Var(&g.seed, "seed", 1, "of the draws")
	f.StringVar(&g.image, "image", "", "image file whose upper rows of tokens all images begin with")
	f.IntVar(&g.rows, "rows", 0, "rows of tokens to take from --image; 0: half")
	f.StringVar(&g.rank, "rank", "", "folder of a CLIP model that puts the images of a text in order")
	f.IntVar(&g.best, "best", 0, "images of each text to keep after --rank; 0: all")
	f.StringVar(&g.watch, "watch", "", "folder for the pictures after every row of tokens")
	return cmd
}

// generating are the flags of "dalle generate".
type generating struct {
	drawing
	dir, out, image, watch, rank string
	texts                        []string
	n, rows, best                int
}

func (g *generating) check() error {
	switch {
	case len(g.texts) == 0:
		return usagef("--text is missing: say what to draw")
	case g.out == "":
		return usagef("--out is missing: name a .png file or a folder")
	case g.n < 1:
		return usagef("--n is %d, want 1 or more", g.n)
	case g.rows < 0 || g.rows > 0 && g.image == "":
		return usagef("--rows is %d, want 1 or more rows of --image", g.rows)
	case g.best < 0 || g.best > g.n:
		return usagef("--best is %d, want 1 to %d, the images of a text", g.best, g.n)
	case g.best > 0 && g.rank == "":
		return usagef("--best %d needs --rank, a model to tell which are", g.best)
	}
	return g.drawing.check()
}

func (g *generating) run(cmd *cobra.Command) error {
	p, err := loadPainter(g.dir)
	if err != nil {
		return err
	}
	log := logger(cmd)
	var judge *embedder
	if g.rank != "" {
		if judge, err = loadEmbedder(g.rank, "", log); err != nil {
			return err
		}
		defer judge.Close()
		if _, err := judge.embed.Tokens(); err != nil {
			return err
		}
	}
	g.fit(p, cmd.Flags(), log)
	var prompts [][]int
	for _, text := range g.texts {
		ids, unknown, cut := p.encode(text)
		if len(unknown) > 0 {
			log.Warn("no caption in training had some of the text: it is left out", "text", text, "unknown", strings.Join(unknown, " "))
		}
		if cut {
			log.Warn("the text is too long and was cut", "text", text, "tokens", p.TextTokens)
		}
		prompts = append(prompts, slices.Repeat([][]int{ids}, g.n)...)
	}
	o := dalle.GenerateOptions{Sampler: g.sampler, Guidance: g.guidance, Seed: g.seed}
	begun := 0
	if g.image != "" {
		ids, err := g.beginning(p)
		if err != nil {
			return err
		}
		begun, o.Images = len(ids), slices.Repeat([][]int{ids}, len(prompts))
	}
	w, err := g.watcher(p, o.Images, len(prompts))
	if err != nil {
		return err
	}
	bar := counting(cmd.ErrOrStderr(), "tokens", p.ImageTokens-begun, time.Now)
	o.Token = func(place int, ids []int) error {
		if err := bar(place + 1 - begun); err != nil {
			return err
		}
		return w.token(cmd.Context(), place, ids)
	}
	start := time.Now()
	tokens, err := p.Generate(cmd.Context(), prompts, o)
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	images, err := p.draw(cmd.Context(), tokens)
	if err != nil {
		return err
	}
	n := len(images)
	if judge != nil {
		if images, err = g.keepBest(cmd.Context(), cmd.OutOrStdout(), judge, images); err != nil {
			return err
		}
	}
	if err := g.save(g.out, images, g.kept()); err != nil {
		return err
	}
	return g.report(cmd.OutOrStdout(), n, (p.ImageTokens-begun)*n, seconds)
}

func (g *generating) report(w io.Writer, images, tokens int, seconds float64) error {
	_, err := fmt.Fprintf(w, "%s: %s images, %s tokens, %.1f tokens/s\n", g.out, thousands(images), thousands(tokens), float64(tokens)/seconds)
	return err
}

// save draws a row of n images for each of several texts, a square for one, or
// writes a folder.
func (g *generating) save(out string, images []image.Image, n int) error {
	if len(g.texts) == 1 || filepath.Ext(out) != ".png" {
		return saveImages(out, images)
	}
	c, err := drawGrid(slices.Collect(slices.Chunk(images, n)))
	if err != nil {
		return err
	}
	return c.save(out)
}

// beginning is the upper rows of tokens of the given image.
func (g *generating) beginning(p *painter) ([]int, error) {
	G := p.image.Grid()
	rows := g.rows
	if rows == 0 {
		rows = G / 2
	}
	if rows < 1 || rows >= G {
		return nil, usagef("--rows is %d, want 1 to %d: an image has %d rows of tokens", rows, G-1, G)
	}
	im, err := data.DecodeFile(g.image, 0)
	if err != nil {
		return nil, err
	}
	pre := pixels(p.image.Config)
	if im, err = pre.Apply(im); err != nil {
		return nil, errors.Wrap(err, g.image)
	}
	x := tensor.New(tensor.WithShape(1, p.image.Channels, p.image.ImageSize, p.image.ImageSize), tensor.Of(tensor.Float32))
	if err := pre.Normalize(x.Float32s(), im); err != nil {
		return nil, errors.Wrap(err, g.image)
	}
	t := p.image.Tokenizer()
	defer t.Close()
	ids, err := t.Encode(x)
	if err != nil {
		return nil, err
	}
	return ids[:rows*G], nil
}

// draw turns the tokens of images into pictures.
func (p *painter) draw(ctx context.Context, tokens [][]int) ([]image.Image, error) {
	var grids []tokenGrid
	for _, ids := range tokens {
		grids = append(grids, newTokenGrid("", ids, p.image.Grid()))
	}
	return decodeGrids(ctx, p.image, grids)
}

// watcher draws images that are not finished.
type watcher struct {
	*generating
	*painter
	tokens [][]int // with 0 for those to come
}

// watcher returns one that begins with the given tokens of n images.
func (g *generating) watcher(p *painter, begun [][]int, n int) (*watcher, error) {
	w := &watcher{g, p, make([][]int, n)}
	for i := range w.tokens {
		w.tokens[i] = make([]int, p.ImageTokens)
		if begun != nil {
			copy(w.tokens[i], begun[i])
		}
	}
	if g.watch == "" {
		return w, nil
	}
	return w, errors.Wrapf(os.MkdirAll(g.watch, 0o777), "--watch %s", g.watch)
}

// token takes the tokens of all images at a place and draws what there is at
// the end of a row.
func (w *watcher) token(ctx context.Context, place int, ids []int) error {
	if w.watch == "" {
		return nil
	}
	for i, id := range ids {
		w.tokens[i][place] = id
	}
	G := w.painter.image.Grid()
	if (place+1)%G != 0 {
		return nil
	}
	images, err := w.draw(ctx, w.tokens)
	if err != nil {
		return err
	}
	rows := (place + 1) / G
	for i, im := range images {
		images[i] = upperPart(w.painter.image.Config, im, rows)
	}
	return w.generating.save(filepath.Join(w.watch, fmt.Sprintf("row-%03d.png", rows)), images, w.n)
}

// upperPart whitens all but the part of an image that rows of tokens stand for.
func upperPart(c vqvae.Config, im image.Image, rows int) image.Image {
	part := data.FromStd(im)
	from := rows * c.ImageSize / c.Grid() * part.W * part.C
	for i := range part.Pix[from:] {
		part.Pix[from+i] = 255
	}
	return part.Std()
}
