package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/clip/embed"
	"tessera/clip/search"
	"tessera/clip/search/pgvector"
	"tessera/clip/search/weaviate"
)

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
	case scheme == "weaviate" || scheme == "weaviates":
		o, err := inWeaviate(scheme, rest)
		if err != nil {
			return nil, err
		}
		o.Dim, o.Model, o.Token = dim, model, os.Getenv("TESSERA_WEAVIATE_KEY")
		x, err := weaviate.Open(ctx, o)
		if err != nil {
			return nil, errors.WithMessage(err, "--index")
		}
		return x, nil
	case scheme == "postgres" || scheme == "postgresql":
		o, err := inPostgres(p.index)
		if err != nil {
			return nil, err
		}
		o.Dim, o.Model = dim, model
		x, err := pgvector.Open(ctx, o)
		if err != nil {
			return nil, errors.WithMessage(err, "--index")
		}
		return x, nil
	}
	return nil, unknown("kind of index", scheme+"://", []string{"weaviate://", "weaviates://", "postgres://"})
}

// inWeaviate reads HOST:PORT,…/CLASS[?replicas=N].
func inWeaviate(scheme, place string) (o weaviate.Options, err error) {
	wrong := func(why string) (weaviate.Options, error) {
		return o, usagef("--index %s://%s: %s", scheme, place, why)
	}
	place, query, _ := strings.Cut(place, "?")
	hosts, class, found := strings.Cut(place, "/")
	if !found || hosts == "" || class == "" {
		return wrong("want weaviate://HOST:PORT,…/CLASS")
	}
	o.Class = class
	q, err := url.ParseQuery(query)
	if err != nil {
		return wrong(err.Error())
	}
	for key := range q {
		if key != "replicas" {
			return wrong(fmt.Sprintf("%s is no option of a class, want replicas=N", key))
		}
		if o.Replicas, err = strconv.Atoi(q.Get(key)); err != nil || o.Replicas < 1 {
			return wrong(fmt.Sprintf("replicas is %q, want 1 or more", q.Get(key)))
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		o.URLs = append(o.URLs, map[string]string{"weaviate": "http://", "weaviates": "https://"}[scheme]+host)
	}
	return o, nil
}

// inPostgres takes table and hnsw out of the URL of a database.
func inPostgres(index string) (o pgvector.Options, err error) {
	base, query, _ := strings.Cut(index, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return o, usagef("--index %s: %v", withoutPassword(index), err)
	}
	if o.Table = q.Get("table"); o.Table == "" {
		o.Table = "items"
	}
	switch hnsw := q.Get("hnsw"); hnsw {
	case "", "false":
	case "true":
		o.HNSW = true
	default:
		return o, usagef("--index %s: hnsw is %q, want true or false", withoutPassword(index), hnsw)
	}
	q.Del("table")
	q.Del("hnsw")
	o.URL = base + "?" + q.Encode()
	return o, nil
}

// name is the index, fit to be shown.
func (p *searchPlace) name() string { return withoutPassword(p.index) }

// withoutPassword hides the password in a URL: of the user, or as an option.
func withoutPassword(index string) string {
	return passwordOption.ReplaceAllString(userPassword.ReplaceAllString(index, "${1}xxxxx@"), "${1}xxxxx")
}

var (
	userPassword   = regexp.MustCompile(`(://[^:/?@]*:)[^/?]*@`)
	passwordOption = regexp.MustCompile(`([?&]password=)[^&]*`)
)

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
