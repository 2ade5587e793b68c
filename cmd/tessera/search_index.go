package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/search"
)

// searchIndexOptions are the flags of "search index".
type searchIndexOptions struct {
	searchPlace
	threshold float64
	json      bool
}

func newSearchIndex() *cobra.Command {
	var o searchIndexOptions
	cmd := &cobra.Command{
		Use:   "index --model DIR --index FILE FOLDER|TABLE...",
		Short: "Index the images of folders, and keep an index up to date",
		Long: `Index the images of folders at any depth, and whatever is beside them: the lines
of cat.txt are captions of cat.jpg, the object in cat.json is its metadata. Instead
of a folder there may be a table of captions (.csv, .tsv or .jsonl), pairs:DIR,
coco:FILE or emoji:DIR[:STYLE], as for tessera clip train.

Called again, it takes in what is new or changed, by size and time and then by
content, follows files that were moved, and removes those that are gone. What is
in the index stays there when the command is interrupted; called again, it goes on.
Images of which the cosine reaches --near are reported as near duplicates, for an
index in a file.

The id of an item is the path of its file. A file that cannot be read is reported
and left out; the exit code is then 1.`,
		Example: `  tessera search index --model clip-b32 --index photos.tessera photos/
  tessera search index --model clip-b32 --index shop.tessera photos/captions.csv`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.bind(cmd.Flags())
	o.bindModel(cmd)
	cmd.Flags().Float64Var(&o.threshold, "near", 0.99, "cosine from which images are near duplicates; above 1: none are looked for")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (o *searchIndexOptions) run(cmd *cobra.Command, args []string) error {
	if !(o.threshold > 0) {
		return usagef("--near is %g, want more than 0", o.threshold)
	}
	log := logger(cmd)
	m, err := o.embedder(log)
	if err != nil {
		return err
	}
	defer m.Close()
	var all []sources
	for _, arg := range args {
		s, err := openSources(arg, log)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	index, err := o.open(cmd.Context(), m, creating)
	if err != nil {
		return err
	}
	defer index.Close()
	start := time.Now()
	x := &indexing{index: index, m: m, log: log}
	x.progress = func(total int) func(int) error { return counting(cmd.ErrOrStderr(), "images", total, time.Now) }
	for _, s := range all {
		if err := x.sync(cmd.Context(), s); err != nil {
			if cmd.Context().Err() != nil {
				return errors.Errorf("stopped after %s new or changed images, which are in the index: the same command goes on", thousands(x.New+x.Changed))
			}
			return err
		}
	}
	x.Seconds = time.Since(start).Seconds()
	if x.Index, err = index.Info(cmd.Context()); err != nil {
		return err
	}
	if o.threshold <= 1 {
		if x.Near, err = nearDuplicates(cmd.Context(), index, o.threshold, search.Images); err != nil {
			return err
		}
	}
	if o.json {
		err = writeJSON(cmd.OutOrStdout(), x.indexReport)
	} else {
		err = x.print(cmd, o.name())
	}
	if err == nil && x.Failed > 0 {
		err = errors.Errorf("%d of the files could not be read", x.Failed)
	}
	return err
}

// indexReport is what was done to an index.
type indexReport struct {
	New       int         `json:"new"`
	Changed   int         `json:"changed"`
	Moved     int         `json:"moved"`
	Removed   int         `json:"removed"`
	Unchanged int         `json:"unchanged"`
	Failed    int         `json:"failed"`
	Seconds   float64     `json:"seconds"`
	Index     search.Info `json:"index"`
	Near      [][]string  `json:"near_duplicates,omitempty"` // groups of ids
}

func (r *indexReport) print(cmd *cobra.Command, index string) error {
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	var parts []string
	for _, p := range []struct {
		n    int
		name string
	}{{r.New, "new"}, {r.Changed, "changed"}, {r.Moved, "moved"}, {r.Removed, "removed"}, {r.Unchanged, "unchanged"}, {r.Failed, "unreadable"}} {
		if p.n > 0 {
			parts = append(parts, thousands(p.n)+" "+p.name)
		}
	}
	if len(parts) == 0 {
		parts = []string{"none"}
	}
	fmt.Fprintf(t, "files\t%s\n", strings.Join(parts, ", "))
	fmt.Fprintf(t, "items\t%s: %s with an image, %s with a text\n", thousands(r.Index.Items), thousands(r.Index.Images), thousands(r.Index.Texts))
	if r.Index.Bytes > 0 {
		fmt.Fprintf(t, "size\t%s\n", bytesOf(r.Index.Bytes))
	}
	fmt.Fprintf(t, "seconds\t%.1f\n", r.Seconds)
	fmt.Fprintf(t, "index\t%s\n", index)
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Near == nil { // not looked for
		return nil
	}
	return printGroups(cmd.OutOrStdout(), r.Near, 10)
}
