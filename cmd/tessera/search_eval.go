package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/search"
)

// searchEvalOptions are the flags of "search eval".
type searchEvalOptions struct {
	searchPlace
	exact, judgements, data string
	in                      string
	fusions                 []string
	queries, top            int
	seed                    uint64
	json                    bool
}

func newSearchEval() *cobra.Command {
	var o searchEvalOptions
	cmd := &cobra.Command{
		Use:   "eval --index FILE [--judgements FILE --model DIR]",
		Short: "Measure what an index finds, and how fast",
		Long: `Measure what an index finds, as recall and NDCG@10 (doi:10.1145/582415.582418), and
how long a query takes.

Without more, an index is held against exact search: of the same file with --precision
int8, or of the file --exact for an index in servers. The --queries are sums of
two items drawn at random.

With --judgements it is held against people's, lines of JSON such as

  {"text": "red shoe", "relevant": {"17": 3, "18": 1}}
  {"image": "like-this.jpg", "relevant": ["17", "21"]}

where the numbers are gains, 1 in a list. Images lie relative to the file.

With --data shapes[:N] a catalogue is made of drawn shapes to compare the kinds of
--fusion on. Captions tell size, color and shape, and half of them one that is not
that of the image, which is what counts. There is no --index then.`,
		Example: `  tessera search eval --index photos.tessera --precision int8
  tessera search eval --index shop.tessera --model clip-b32 --judgements judged.jsonl
  tessera search eval --data shapes --model runs/clip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.bind(f)
	o.bindModel(cmd)
	f.StringVar(&o.exact, "exact", "", "index file to compare with (default the index itself, if it is a file)")
	f.StringVar(&o.judgements, "judgements", "", "file of queries and what is relevant to them (.jsonl)")
	f.StringVar(&o.data, "data", "", "shapes[:N], a catalogue of N items (default 4000)")
	f.StringVar(&o.in, "in", "both", "what of the items is looked at: image, text, or both")
	f.StringSliceVar(&o.fusions, "fusion", nil, "how the scores of image and text become one, separated by commas: "+strings.Join(fusions(), ", ")+" (default all, or "+string(search.DefaultFusion)+" against exact search)")
	f.IntVar(&o.queries, "queries", 200, "queries against exact search")
	f.IntVar(&o.top, "top", 10, "hits of a query")
	f.Uint64Var(&o.seed, "seed", 1, "seed of what is drawn at random")
	f.BoolVar(&o.json, "json", false, "print JSON")
	o.bindPrecision(f)
	return cmd
}

// found is what was measured of one kind of search.
type found struct {
	Name    string  `json:"name"`
	Queries int     `json:"queries"`
	Recall1 float64 `json:"recall_1"`
	Recall  float64 `json:"recall"` // among all hits
	NDCG    float64 `json:"ndcg_10"`
	// Milliseconds of a query, by percentile. The embedding of the query does
	// not count.
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

func (o *searchEvalOptions) run(cmd *cobra.Command) error {
	terms := searchTerms{in: o.in, fusion: string(search.DefaultFusion), top: o.top}
	for _, f := range o.fusions {
		if !slices.Contains(fusions(), f) {
			return unknown("fusion", f, fusions())
		}
	}
	q, err := terms.check()
	if err != nil {
		return err
	}
	var all []found
	switch {
	case o.queries < 1:
		return usagef("--queries is %d, want 1 or more", o.queries)
	case o.data != "" && (o.index != "" || o.judgements != "" || o.exact != ""):
		return usagef("--data makes an index of its own: leave out --index, --judgements and --exact")
	case o.judgements != "" && o.exact != "":
		return usagef("--judgements and --exact: choose one")
	case o.data != "":
		all, err = o.shapes(cmd, q)
	case o.judgements != "":
		all, err = o.judged(cmd, q)
	default:
		all, err = o.againstExact(cmd.Context(), q)
	}
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(cmd.OutOrStdout(), all)
	}
	return o.print(cmd.OutOrStdout(), all)
}

// againstExact compares an index with exact search.
func (o *searchEvalOptions) againstExact(ctx context.Context, q search.Query) ([]found, error) {
	if len(o.fusions) > 1 {
		return nil, usagef("--fusion: against exact search only one")
	}
	if len(o.fusions) == 1 {
		q.Fusion = search.Fusion(o.fusions[0])
	}
	index, err := o.open(ctx, nil, reading)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	same := searchPlace{index: o.exact}
	if o.exact == "" {
		if _, file := index.(*search.File); !file {
			return nil, usagef("--exact is missing: name an index file of the same items, or --judgements")
		}
		same.index = o.index
	}
	exact, err := same.open(ctx, nil, reading)
	if err != nil {
		return nil, err
	}
	defer exact.Close()
	queries, err := drawQueries(ctx, exact, o.queries, o.seed)
	if err != nil {
		return nil, err
	}
	a, b := measurement{name: "exact"}, measurement{name: "index"}
	if o.exact == "" {
		b.name = o.precision
	}
	for _, terms := range queries {
		q.Terms = terms
		want, err := a.ask(ctx, exact, q)
		if err != nil {
			return nil, err
		}
		gains := map[string]float64{}
		for i, id := range want {
			gains[id] = float64(len(want) - i)
		}
		a.score(want, gains, q.K)
		got, err := b.ask(ctx, index, q)
		if err != nil {
			return nil, err
		}
		b.score(got, gains, q.K)
		// The first of the exact hits is what recall@1 asks for.
		if len(want) > 0 && len(got) > 0 && got[0] == want[0] {
			b.first++
		}
		a.first++
	}
	return []found{a.found(), b.found()}, nil
}

// drawQueries are sums of two items each.
func drawQueries(ctx context.Context, index search.Index, n int, seed uint64) ([][]search.Term, error) {
	items, err := allOf(ctx, index, nil)
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, errors.New("the index is empty")
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	queries := make([][]search.Term, n)
	for i := range queries {
		for range 2 {
			picked, err := index.Get(ctx, []string{items[rng.IntN(len(items))].ID})
			if err != nil {
				return nil, err
			}
			if len(picked) == 0 {
				continue // deleted meanwhile
			}
			t := search.Term{Vector: picked[0].ImageVector, Kind: search.Images, Weight: 1}
			if t.Vector == nil || picked[0].TextVector != nil && rng.IntN(2) == 0 {
				t.Vector, t.Kind = picked[0].TextVector, search.Texts
			}
			queries[i] = append(queries[i], t)
		}
		if len(queries[i]) == 0 {
			return nil, errors.New("the index changes while it is measured")
		}
	}
	return queries, nil
}

// measurement collects what searches find.
type measurement struct {
	name         string
	queries      int
	first        float64
	recall, ndcg float64
	took         []time.Duration
}

// ask searches and takes the time.
func (m *measurement) ask(ctx context.Context, index search.Index, q search.Query) ([]string, error) {
	start := time.Now()
	hits, err := index.Search(ctx, q)
	m.took = append(m.took, time.Since(start))
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.ID
	}
	return ids, err
}

// score counts recall among all hits and NDCG@10.
func (m *measurement) score(hits []string, gains map[string]float64, k int) {
	m.queries++
	m.recall += search.Recall(hits, gains, k)
	m.ndcg += search.NDCG(hits, gains, 10)
}

func (m *measurement) found() found {
	n := float64(max(m.queries, 1))
	ms := func(p float64) float64 { return 1e3 * search.Percentile(m.took, p).Seconds() }
	return found{m.name, m.queries, m.first / n, m.recall / n, m.ndcg / n, ms(50), ms(95), ms(99)}
}

func (o *searchEvalOptions) print(w io.Writer, all []found) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tqueries\trecall@1\trecall@%d\tNDCG@10\tp50 ms\tp95 ms\tp99 ms\t\n", o.top)
	for _, f := range all {
		fmt.Fprintf(t, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.3f\t%.3f\t%.3f\t\n", f.Name, thousands(f.Queries), f.Recall1, f.Recall, f.NDCG, f.P50, f.P95, f.P99)
	}
	return t.Flush()
}
