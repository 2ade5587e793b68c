package main

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/train/data"
)

// retrieveOptions are the flags of "clip retrieve".
type retrieveOptions struct {
	model, act, image string
	texts             []string
	top               int
	json              bool
}

func newClipRetrieve() *cobra.Command {
	var o retrieveOptions
	cmd := &cobra.Command{
		Use:   "retrieve --model DIR --text TEXT|--image FILE FILE|FOLDER...",
		Short: "Rank image files by a text or an image",
		Long: `Rank image files, and those in folders, by how close they are to a text or to
another image: by the cosine of their embeddings. With several texts there is a
list for each, and every file is embedded once.

A file that cannot be read is reported and left out; the exit code is then 1.`,
		Example: `  tessera clip retrieve --model clip-b32 --text "a dog in the snow" photos/
  tessera clip retrieve --model clip-b32 --image like-this.jpg --top 20 --json photos/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.model, "model", "", "folder or file of the model")
	f.StringArrayVar(&o.texts, "text", nil, "text to look for; may be repeated")
	f.StringVar(&o.image, "image", "", "image file to look for")
	f.IntVar(&o.top, "top", 10, "files to print for each query")
	f.BoolVar(&o.json, "json", false, "print JSON")
	bindHiddenAct(cmd, &o.act)
	return cmd
}

// retrieved is what a query finds.
type retrieved struct {
	Text  string  `json:"text,omitempty"`
	Image string  `json:"image,omitempty"`
	Files []match `json:"files"` // the closest first
}

type match struct {
	File   string  `json:"file"`
	Cosine float64 `json:"cosine"`
}

func (o *retrieveOptions) run(cmd *cobra.Command, args []string) error {
	switch {
	case o.top < 1:
		return usagef("--top is %d, want 1 or more", o.top)
	case len(o.texts) == 0 && o.image == "":
		return usagef("there is nothing to look for: want --text or --image")
	}
	log := logger(cmd)
	e, err := loadEmbedder(o.model, o.act, log)
	if err != nil {
		return err
	}
	defer e.Close()
	queries, lists, err := o.queries(cmd.Context(), e)
	if err != nil {
		return err
	}
	files, failed := imageFiles(args, log)
	progress := counting(cmd.ErrOrStderr(), "images", len(files), time.Now)
	E, done := e.ProjectionDim, 0
	bad, err := e.embedImages(cmd.Context(), files, func(file string, row []float32) error {
		for i := range lists {
			lists[i].Files = append(lists[i].Files, match{file, cosine(row, queries[i*E:][:E])})
		}
		done++
		return progress(done)
	})
	if err != nil {
		return err
	}
	for i := range lists {
		found := lists[i].Files
		slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(b.Cosine, a.Cosine) })
		lists[i].Files = found[:min(o.top, len(found))]
	}
	if o.json {
		err = writeJSON(cmd.OutOrStdout(), lists)
	} else {
		err = printRetrieved(cmd, lists)
	}
	if failed += bad; err == nil && failed > 0 {
		err = errors.Errorf("%d of the files or folders could not be read", failed)
	}
	return err
}

// queries embeds what is looked for, rows of E, and begins a list for each.
func (o *retrieveOptions) queries(ctx context.Context, e *embedder) (rows []float32, lists []retrieved, err error) {
	if rows, err = e.embedTexts(ctx, o.texts); err != nil {
		return nil, nil, err
	}
	for _, text := range o.texts {
		lists = append(lists, retrieved{Text: text, Files: []match{}})
	}
	if o.image == "" {
		return rows, lists, nil
	}
	im, err := data.DecodeFile(o.image, 0)
	if err != nil {
		return nil, nil, errors.Wrap(err, "--image")
	}
	row, err := e.embed.Images(ctx, []image.Image{im.Std()})
	if err != nil {
		return nil, nil, err
	}
	return append(rows, row[0]...), append(lists, retrieved{Image: o.image, Files: []match{}}), nil
}

// cosine is the inner product of rows of unit length.
func cosine(a, b []float32) float64 {
	dot := 0.0
	for i, v := range a {
		dot += float64(v) * float64(b[i])
	}
	return dot
}

func printRetrieved(cmd *cobra.Command, lists []retrieved) error {
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for i, l := range lists {
		if i > 0 {
			fmt.Fprintln(t)
		}
		if len(lists) > 1 {
			fmt.Fprintln(t, l.Text+l.Image)
		}
		fmt.Fprintln(t, "rank\tcosine\tfile")
		for rank, m := range l.Files {
			fmt.Fprintf(t, "%d\t%.4f\t%s\n", rank+1, m.Cosine, m.File)
		}
	}
	return t.Flush()
}
