package main

import (
	"context"
	"iter"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/clip/embed"
	"tessera/clip/search"
	"tessera/clip/search/pgvector"
	"tessera/clip/search/weaviate"
)

func newSearch() *cobra.Command {
	cmd := group("search", "Find images and texts with CLIP",
		`Find images and texts in an index made with a CLIP model (arXiv:2103.00020).

An index is a file of this machine, or, to grow beyond it, in servers:

  photos.tessera                             a file (SQLite; vectors are searched in memory)
  weaviate://host:8080,host:8081/Photos      a class of a Weaviate cluster
  postgres://user:password@host/db?table=t   a table of PostgreSQL with pgvector

The key of a cluster is taken from the environment, TESSERA_WEAVIATE_KEY.`)
	cmd.AddCommand(newSearchIndex(), newSearchAdd(), newSearchDelete(), newSearchQuery(), newSearchEval(), newSearchDuplicates(), newSearchServe())
	return cmd
}

// searchPlace are the flags that say which index, and which model made it.
type searchPlace struct {
	index, precision, model, act string
}

func (p *searchPlace) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&p.index, "index", "", "index: a file, weaviate://HOST:PORT,…/CLASS or postgres://…?table=NAME")
}

// bindModel adds the flags of the model.
func (p *searchPlace) bindModel(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.model, "model", "", "folder or file of the CLIP model")
	bindHiddenAct(cmd, &p.act)
}

func (p *searchPlace) bindPrecision(f *pflag.FlagSet) {
	f.StringVar(&p.precision, "precision", string(search.Float32), "of the vectors of a file in memory: float32, or int8 with the best compared again in float32")
}

// embedder reads the model.
func (p *searchPlace) embedder(log *slog.Logger) (*embed.Model, error) {
	if p.model == "" {
		return nil, usagef("--model is missing: name the folder of a model")
	}
	return embed.Open(p.model, embed.Options{HiddenAct: p.act, Warn: func(s string) { log.Warn(s) }})
}

// mode is what an index is opened for.
type mode int

const (
	reading  mode = iota // an index that exists
	writing              // one that exists
	creating             // one that exists or not
)

// open opens the index. m is the model it must be of; nil leaves that open.
func (p *searchPlace) open(ctx context.Context, m *embed.Model, mode mode) (search.Index, error) {
	dim, model := 0, ""
	if m != nil {
		dim, model = m.Dim(), m.Model()
	}
	scheme, rest, remote := strings.Cut(p.index, "://")
	switch {
	case p.index == "":
		return nil, usagef("--index is missing: name a file for the index")
	case !remote:
		return p.openFile(dim, model, mode)
	case scheme == "weaviate":
		hosts, class, found := strings.Cut(rest, "/")
		if !found || hosts == "" || class == "" {
			return nil, usagef("--index %s: want weaviate://HOST:PORT,…/CLASS", p.index)
		}
		o := weaviate.Options{Class: class, Token: os.Getenv("TESSERA_WEAVIATE_KEY"), Dim: dim, Model: model}
		for host := range strings.SplitSeq(hosts, ",") {
			o.URLs = append(o.URLs, "http://"+host)
		}
		x, err := weaviate.Open(ctx, o)
		if err != nil {
			return nil, errors.Wrap(err, "--index")
		}
		return x, nil
	case scheme == "postgres" || scheme == "postgresql":
		u, err := url.Parse(p.index)
		if err != nil {
			return nil, usagef("--index: %v", err)
		}
		q := u.Query()
		table := q.Get("table")
		if table == "" {
			table = "items"
		}
		q.Del("table")
		u.RawQuery = q.Encode()
		x, err := pgvector.Open(ctx, pgvector.Options{URL: u.String(), Table: table, Dim: dim, Model: model})
		if err != nil {
			return nil, errors.Wrap(err, "--index")
		}
		return x, nil
	}
	return nil, unknown("kind of index", scheme+"://", []string{"weaviate://", "postgres://"})
}

func (p *searchPlace) openFile(dim int, model string, mode mode) (search.Index, error) {
	precision := search.Precision(p.precision)
	switch precision {
	case "", search.Float32, search.Int8:
	default:
		return nil, unknown("precision", p.precision, []string{string(search.Float32), string(search.Int8)})
	}
	if _, err := os.Stat(p.index); mode != creating && os.IsNotExist(err) {
		return nil, errors.Errorf("--index %s: there is no such file: make one with tessera search index", p.index)
	}
	f, err := search.Open(p.index, search.Options{Dim: dim, Model: model, Precision: precision, ReadOnly: mode == reading})
	if err != nil {
		return nil, errors.WithMessage(err, "--index")
	}
	return f, nil
}

// allOf lists the items that pass a filter, without vectors.
func allOf(ctx context.Context, index search.Index, filter search.Filter) (items []search.Item, err error) {
	if x, ok := index.(interface {
		All(context.Context) iter.Seq2[search.Item, error]
	}); ok {
		for it, err := range x.All(ctx) {
			if err != nil {
				return nil, err
			}
			if filter.Match(it.Meta) {
				items = append(items, it)
			}
		}
		return items, nil
	}
	// A search for as many as there are, in any direction.
	info, err := index.Info(ctx)
	if err != nil || info.Items == 0 {
		return nil, err
	}
	direction := make([]float32, info.Dim)
	direction[0] = 1
	hits, err := index.Search(ctx, search.Query{
		Terms: []search.Term{{Vector: direction, Kind: search.Images, Weight: 1}}, Fusion: search.Raw, K: info.Items, Filter: filter,
	})
	for _, h := range hits {
		items = append(items, h.Item)
	}
	return items, err
}
