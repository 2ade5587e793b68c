package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/flamingo"
	"tessera/layers/sample"
)

func newFlamingoGenerate() *cobra.Command {
	var g describing
	cmd := &cobra.Command{
		Use:   "generate --model DIR --image FILE",
		Short: "Continue a text about images",
		Long: `Continue a text about images. Every ` + imageToken + ` in --prompt stands for an --image, in
their order.

Examples come before it: --shot FILE=TEXT says what the prompt should have been
continued with for another image; a TEXT with ` + imageToken + ` in it is taken as it is.
Or --rices takes as many images of --examples as are most like the last --image,
by the CLIP model --clip, the most similar one last.`,
		Example: `  tessera flamingo generate --model runs/flamingo --image c.png
  tessera flamingo generate --model runs/flamingo --shot a.png="Two dogs." --image c.png --prompt "<image>Output:"
  tessera flamingo generate --model runs/flamingo --image c.png --prompt "<image>Question: what color is the star? Answer:" --beams 3
  tessera flamingo generate --model runs/flamingo --image c.png --rices 4 --examples shapes --clip runs/clip`,
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
	g.folders.bind(f)
	f.StringArrayVar(&g.images, "image", nil, "image file; may be given several times")
	f.StringVar(&g.prompt, "prompt", imageToken+captionPrompt, "text to continue")
	f.StringArrayVar(&g.shots, "shot", nil, "FILE=TEXT, an image with its continuation; may be given several times")
	f.IntVar(&g.rices, "rices", 0, "examples to take from --examples by likeness")
	f.StringVar(&g.examples, "examples", "", "data set to take examples from: "+dataForms+" or the path of a folder")
	f.IntVar(&g.among, "among", 2000, "examples to choose from, evenly spaced; 0: all")
	f.StringVar(&g.clip, "clip", "", "folder of the CLIP model that tells how much images are alike")
	bindTemplate(f, &g.template)
	f.IntVar(&g.n, "n", 1, "texts")
	f.IntVar(&g.maxTokens, "max-tokens", 32, "new tokens, at most")
	f.Float64Var(&g.sampler.Temperature, "temperature", 0, "divides scores before drawing; 0 for the likeliest tokens")
	f.IntVar(&g.sampler.TopK, "top-k", 0, "draw from the k likeliest tokens; 0: from all")
	f.Float64Var(&g.sampler.TopP, "top-p", 0, "draw from the fewest tokens that have this probability together; 0: from all")
	f.Float64Var(&g.sampler.RepetitionPenalty, "repetition-penalty", 1, "more than 1 makes tokens that were there less likely")
	f.IntVar(&g.beams, "beams", 1, "continuations that beam search follows; 1: none but the one that is drawn")
	f.Float64Var(&g.lengthPenalty, "length-penalty", 1, "of beam search: more than 0 favors long texts")
	f.StringArrayVar(&g.stop, "stop", nil, "text that ends the continuation; may be given several times")
	f.Uint64Var(&g.seed, "seed", 1, "of the draws")
	f.BoolVar(&g.json, "json", false, "print a JSON array of texts")
	return cmd
}

// describing are the flags of "flamingo generate".
type describing struct {
	folders                          describerFolders
	images, shots, stop              []string
	prompt, examples, clip, template string
	rices, among, n                  int
	maxTokens, beams                 int
	sampler                          sample.Sampler
	lengthPenalty                    float64
	seed                             uint64
	json                             bool
}

func (g *describing) check() error {
	if len(g.images) == 0 {
		return usagef("--image is missing: name an image file")
	}
	if n := strings.Count(g.prompt, imageToken); n != len(g.images) {
		return usagef("--prompt has %s %d times for %d times --image, want as many: %q", imageToken, n, len(g.images), g.prompt)
	}
	if g.rices > 0 && (g.examples == "" || g.clip == "") {
		return usagef("--rices %d: --examples and --clip say from what, and by what", g.rices)
	}
	if err := g.sampler.Validate(); err != nil {
		return usageError{err}
	}
	return within(
		limited{"rices", float64(g.rices), g.rices >= 0, "0 or more"},
		limited{"among", float64(g.among), g.among >= 0, "0 or more"},
		limited{"n", float64(g.n), g.n >= 1, "1 or more"},
		limited{"max-tokens", float64(g.maxTokens), g.maxTokens >= 1, "1 or more"},
		limited{"beams", float64(g.beams), g.beams >= 1, "1 or more"},
	)
}

func (g *describing) run(cmd *cobra.Command) error {
	ctx, log := cmd.Context(), logger(cmd)
	d, err := loadDescriber(g.folders, log)
	if err != nil {
		return err
	}
	var prompt flamingo.Sequence
	if g.rices > 0 {
		if prompt, err = g.similar(cmd, d); err != nil {
			return err
		}
	}
	for _, shot := range g.shots {
		file, text, ok := strings.Cut(shot, "=")
		if !ok || file == "" || text == "" {
			return usagef("--shot %s: want FILE=TEXT", shot)
		}
		if !strings.Contains(text, imageToken) {
			if strings.Count(g.prompt, imageToken) != 1 {
				return usagef("--shot %s: the prompt has several images: write the whole text of the shot, with %s", shot, imageToken)
			}
			text = g.prompt + " " + text + chunkToken
		}
		if err := g.append(d, &prompt, text, file); err != nil {
			return err
		}
	}
	if err := g.append(d, &prompt, g.prompt, g.images...); err != nil {
		return err
	}
	if n, most := len(prompt.IDs), d.Text.Context; n > most {
		return errors.Errorf("the prompt has %d tokens with its examples, but the language model takes %d", n, most)
	}
	o := flamingo.GenerateOptions{
		MaxTokens: g.maxTokens, Sampler: g.sampler, Seed: g.seed, Stop: []int{d.tokens.End()},
		Beams: g.beams, LengthPenalty: g.lengthPenalty,
	}
	out, err := d.Generate(ctx, slices.Repeat([]flamingo.Sequence{prompt}, g.n), o)
	if err != nil {
		return err
	}
	texts := make([]string, len(out))
	for i, ids := range out {
		texts[i] = g.cut(strings.TrimSpace(d.tokens.Decode(ids)))
	}
	if g.json {
		return writeJSON(cmd.OutOrStdout(), texts)
	}
	for _, text := range texts {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
			return errors.WithStack(err)
		}
	}
	return nil
}

// append adds a text with images to a prompt.
func (g *describing) append(d *describer, s *flamingo.Sequence, text string, paths ...string) error {
	if n := strings.Count(text, imageToken); n != len(paths) {
		return usagef("%q has %s %d times, want %d", text, imageToken, n, len(paths))
	}
	for _, path := range paths {
		im, err := d.tower.lookAt(path)
		if err != nil {
			return err
		}
		s.Images = append(s.Images, im)
	}
	s.IDs = append(s.IDs, d.tokens.EncodeSpecial(text)...)
	return nil
}

// cut ends a text before the first of the texts to stop at.
func (g *describing) cut(text string) string {
	for _, stop := range g.stop {
		if at := strings.Index(text, stop); at >= 0 && stop != "" {
			text = strings.TrimSpace(text[:at])
		}
	}
	return text
}

// lookAt shows one file to the tower.
func (t *tower) lookAt(path string) (flamingo.Image, error) {
	if _, err := files([]string{path}).Example(0); err != nil {
		return flamingo.Image{}, err
	}
	images, err := t.look(context.Background(), files{path}, slog.New(slog.DiscardHandler), func(int) error { return nil })
	if err != nil {
		return flamingo.Image{}, errors.Wrap(err, path)
	}
	return images[0].Image, nil
}
