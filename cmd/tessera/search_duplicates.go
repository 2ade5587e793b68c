package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tessera/clip/search"
)

func newSearchDuplicates() *cobra.Command {
	var (
		o         searchPlace
		in        string
		threshold float64
		json      bool
	)
	cmd := &cobra.Command{
		Use:   "duplicates --index FILE",
		Short: "Report items that are nearly the same",
		Long: `Report groups of items in which each has another one that is nearly the same: the
cosine of their images, or texts, reaches --near. All pairs are compared. The index
is a file.`,
		Example: `  tessera search duplicates --index photos.tessera
  tessera search duplicates --index shop.tessera --in text --near 0.95 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !(threshold > 0 && threshold <= 1):
				return usagef("--near is %g, want more than 0 and at most 1", threshold)
			case in != string(search.Images) && in != string(search.Texts):
				return unknown("part of an item: --in", in, []string{string(search.Images), string(search.Texts)})
			case strings.Contains(o.index, "://"):
				return usagef("--index %s: all pairs are compared in files only", o.name())
			}
			index, err := o.open(cmd.Context(), nil, reading)
			if err != nil {
				return err
			}
			defer index.Close()
			groups, err := nearDuplicates(cmd.Context(), index, threshold, search.Modality(in))
			if err != nil {
				return err
			}
			if json {
				return writeJSON(cmd.OutOrStdout(), groups)
			}
			return printGroups(cmd.OutOrStdout(), groups, len(groups))
		},
	}
	f := cmd.Flags()
	o.bind(f)
	f.StringVar(&in, "in", string(search.Images), "what is compared: image or text")
	f.Float64Var(&threshold, "near", 0.99, "cosine from which items are near duplicates")
	f.BoolVar(&json, "json", false, "print JSON, a list of ids for each group")
	o.bindPrecision(f)
	return cmd
}

// nearDuplicates gives groups of ids, nil for an index in servers, where none are
// looked for.
func nearDuplicates(ctx context.Context, index search.Index, threshold float64, in search.Modality) ([][]string, error) {
	f, ok := index.(*search.File)
	if !ok {
		return nil, nil
	}
	groups, err := f.Duplicates(ctx, in, threshold)
	if groups == nil {
		groups = [][]string{} // a list in JSON
	}
	return groups, err
}

// printGroups lists groups, at most so many.
func printGroups(w io.Writer, groups [][]string, most int) error {
	items := 0
	for _, g := range groups {
		items += len(g)
	}
	if len(groups) == 0 {
		_, err := fmt.Fprintln(w, "no near duplicates")
		return err
	}
	if _, err := fmt.Fprintf(w, "near duplicates: %s items in %s groups\n", thousands(items), thousands(len(groups))); err != nil {
		return err
	}
	for _, g := range groups[:min(most, len(groups))] {
		for i, id := range g {
			indent := "    "
			if i == 0 {
				indent = "  "
			}
			if i == 8 && most < len(groups) {
				fmt.Fprintf(w, "%s… and %d more\n", indent, len(g)-i)
				break
			}
			if _, err := fmt.Fprintln(w, indent+printable(id)); err != nil {
				return err
			}
		}
	}
	if most < len(groups) {
		_, err := fmt.Fprintf(w, "  … see tessera search duplicates for the other %d groups\n", len(groups)-most)
		return err
	}
	return nil
}
