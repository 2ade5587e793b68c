package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"tessera/clip/embed"
	"tessera/clip/search"
)

// searchQueryOptions are the flags of "search query".
type searchQueryOptions struct {
	searchPlace
	searchTerms
	each, json bool
	sheet      sheetOptions
}

func newSearchQuery() *cobra.Command {
	var o searchQueryOptions
	cmd := &cobra.Command{
		Use:   "query --model DIR --index FILE --text TEXT|--image FILE",
		Short: "Find items by texts and images",
		Long: `Find the items that are closest to a sum of texts and images, less what to stay
away from. Items with an image and a text are scored by both. Texts lie closer to
texts than to the images that they describe, which the kinds of --fusion but raw
make up for:

  raw            the mean of the cosines
  centred        cosines after the mean of all images, and of all texts, is taken away
  standardized   scores less their mean, by their deviation
  reciprocal     the sum of 1/(60 + rank)

Hits are printed as a table or with --json, and drawn with --html, a page in one
file, or --png. With --each every --text and --image is a query of its own.`,
		Example: `  tessera search query --model clip-b32 --index photos.tessera --text "a dog in the snow"
  tessera search query --model clip-b32 --index shop.tessera --text "a cat" --minus-text outdoors --where 'price<50' --html cats.html
  tessera search query --model clip-b32 --index photos.tessera --image like-this.jpg --text "at night^0.5" --in image --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.searchPlace.bind(f)
	o.bindModel(cmd)
	o.searchTerms.bind(f)
	f.BoolVar(&o.each, "each", false, "make every --text and --image a query of its own")
	f.BoolVar(&o.json, "json", false, "print JSON")
	o.sheet.bind(f)
	o.bindPrecision(f)
	return cmd
}

// answer is a query and what it finds.
type answer struct {
	Query []wanted     `json:"-"`
	Name  string       `json:"query"`
	Hits  []search.Hit `json:"hits"`
}

func (o *searchQueryOptions) run(cmd *cobra.Command) error {
	q, err := o.check()
	if err != nil {
		return err
	}
	all, err := o.wanted()
	if err != nil {
		return err
	}
	if err := o.sheet.check(); err != nil {
		return err
	}
	m, err := o.embedder(logger(cmd))
	if err != nil {
		return err
	}
	defer m.Close()
	index, err := o.open(cmd.Context(), m, reading)
	if err != nil {
		return err
	}
	defer index.Close()
	queries := [][]wanted{all}
	if o.each {
		queries = nil
		for _, a := range all {
			queries = append(queries, []wanted{a})
		}
	}
	var answers []answer
	for _, terms := range queries {
		a, err := searchFor(cmd.Context(), index, m, q, terms)
		if err != nil {
			return err
		}
		answers = append(answers, a)
	}
	if err := o.sheet.write(answers); err != nil {
		return err
	}
	if o.json {
		return writeJSON(cmd.OutOrStdout(), answers)
	}
	return printAnswers(cmd.OutOrStdout(), answers)
}

// searchFor finds the hits for terms.
func searchFor(ctx context.Context, index search.Index, m *embed.Model, q search.Query, all []wanted) (answer, error) {
	a := answer{Query: all, Hits: []search.Hit{}}
	var names []string
	for _, t := range all {
		names = append(names, t.String())
	}
	a.Name = strings.TrimPrefix(strings.Join(names, " "), "+ ")
	var err error
	if q.Terms, err = terms(ctx, m, all); err != nil {
		return a, err
	}
	hits, err := index.Search(ctx, q)
	a.Hits = append(a.Hits, hits...)
	return a, err
}

// String writes a term as a part of a sum.
func (a wanted) String() string {
	s, sign, weight := a.value, "+", a.weight
	if a.kind == search.Images {
		s = filepath.Base(s)
	}
	if weight < 0 {
		sign, weight = "−", -weight
	}
	if weight != 1 {
		s += fmt.Sprintf("^%g", weight)
	}
	return sign + " " + s
}

func printAnswers(w io.Writer, answers []answer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, a := range answers {
		if i > 0 {
			fmt.Fprintln(t)
		}
		if len(answers) > 1 {
			fmt.Fprintln(t, a.Name)
		}
		if len(a.Hits) == 0 {
			fmt.Fprintln(t, "nothing found")
			continue
		}
		fmt.Fprintln(t, "rank\tscore\timage\ttext\tid\tcaption")
		for rank, h := range a.Hits {
			fmt.Fprintf(t, "%d\t%.4f\t%s\t%s\t%s\t%s\n", rank+1, h.Score, cell(h.ImageCosine), cell(h.TextCosine), printable(h.ID), plainCell(h.Text))
		}
	}
	return t.Flush()
}

// cell writes a cosine, or a dash where there is none.
func cell(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", *v)
}

// plainCell is a text on one line of at most 60 characters.
func plainCell(s string) string {
	r := []rune(printable(s))
	if len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return string(r)
}

// printable is a text without what would steer a terminal, or a table.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
