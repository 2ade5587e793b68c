// Package weaviate keeps a search index in a Weaviate cluster, which shards and
// replicates it by itself.
//
// One class holds the items as objects of two named vectors, "image" and
// "text", compared by dot product. Its description states the model.
//
// What is exact: scores are computed from the stored vectors, so an item that
// is found has the score it would have in a file. Which items are found is the
// server's approximation: with Options.Exact the nearest of one modality are
// exact, otherwise HNSW finds them (arXiv:1603.09320). A query for either
// modality fuses the 4·K (at least 100) nearest of each, so that an item which
// is among neither may be missed, and ranks of search.Reciprocal are those
// among the candidates. Means and deviations for search.Centred and
// search.Standardized are of the first 1024 items by UUID, a sample by hash; it
// is taken anew after a write of this Index, and when the number of items has
// moved by a hundredth.
package weaviate

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pkg/errors"

	"tessera/clip/search"
)

// Options describe an index and the cluster it is in.
type Options struct {
	URLs     []string     // nodes, such as http://localhost:8080; the next is asked when one fails
	Class    string       // the name of the index: a capital, then letters, digits and _
	Dim      int          // D; 0 takes that of an index which exists
	Model    string       // hash of the model; "" takes that of an index which exists
	Token    string       // API key, sent as a bearer token; "" for none
	Client   *http.Client // nil for one that gives up on a node after 30 s
	Replicas int          // copies of each item in a new index, on as many nodes; 0 means 1
	Exact    bool         // a new index compares with all vectors instead of using HNSW
}

// An Index is a class of a cluster.
//
// A Put of more than one object is not atomic: Weaviate has no transactions, so
// after an error some of the items may be there. Putting them again is safe.
//
// A write is made to all copies on nodes that live. One that fails within
// seconds of a node's death can be tried again: the cluster has to notice. A
// node that comes back lacks what was written meanwhile until the cluster has
// repaired it, and searches that it answers may miss that.
type Index struct {
	client
	class string
	about about
	get   string // arguments of every Get

	mu     sync.Mutex
	sample *sample // nil when a write made it stale
	stale  int     // counts the writes
}

var _ search.Index = (*Index)(nil)

// about is what the description of the class holds, as JSON.
type about struct {
	Model string `json:"model"`
	Dim   int    `json:"dim"`
}

var className = regexp.MustCompile(`^[A-Z][A-Za-z0-9_]{0,63}$`)

// Open opens the index named by o, and creates it if Dim and Model are given
// and it does not exist. An index of another model or width is refused.
func Open(ctx context.Context, o Options) (*Index, error) {
	if !className.MatchString(o.Class) {
		return nil, errors.Errorf("weaviate: class %q, want a capital and up to 63 letters, digits and _", o.Class)
	}
	if o.Dim < 0 || o.Replicas < 0 {
		return nil, errors.Errorf("weaviate: width %d and %d replicas, want none below 0", o.Dim, o.Replicas)
	}
	if len(o.URLs) == 0 {
		return nil, errors.New("weaviate: no URL of a node")
	}
	x := &Index{class: o.Class}
	x.token, x.http = o.Token, o.Client
	if x.http == nil {
		x.http = &http.Client{Timeout: 30 * time.Second}
	}
	for _, s := range o.URLs {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.Errorf("weaviate: URL %q, want http://host:port or https://host:port", s)
		}
		x.urls = append(x.urls, strings.TrimRight(s, "/"))
	}
	return x, x.open(ctx, o)
}

func (x *Index) open(ctx context.Context, o Options) error {
	found, err := x.read(ctx)
	if err == nil && !found {
		if o.Dim == 0 || o.Model == "" {
			return errors.Errorf("weaviate: there is no class %s; a new one needs the width and the model", x.class)
		}
		if err = x.create(ctx, o); err == nil {
			found, err = x.read(ctx)
		}
	}
	switch {
	case err != nil:
		return err
	case !found:
		return errors.Errorf("weaviate: class %s is gone right after it was made", x.class)
	case o.Model != "" && o.Model != x.about.Model:
		return errors.Errorf("weaviate: class %s was made with model %s, not %s; index into another class", x.class, x.about.Model, o.Model)
	case o.Dim != 0 && o.Dim != x.about.Dim:
		return errors.Errorf("weaviate: class %s holds vectors of %d values, not %d; index into another class", x.class, x.about.Dim, o.Dim)
	}
	return nil
}

// read takes what the class says of itself, if it exists.
func (x *Index) read(ctx context.Context) (found bool, err error) {
	var class struct {
		Description string `json:"description"`
		Replication struct {
			Factor int `json:"factor"`
		} `json:"replicationConfig"`
	}
	err = x.do(ctx, http.MethodGet, "/v1/schema/"+x.class, nil, func(got []byte) error { return decode(got, &class) }, true)
	if r := (*refusal)(nil); errors.As(err, &r) && r.status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if json.Unmarshal([]byte(class.Description), &x.about) != nil || x.about.Model == "" || x.about.Dim <= 0 {
		return false, errors.Errorf("weaviate: class %s is no search index: its description %.100q does not state a model", x.class, class.Description)
	}
	if class.Replication.Factor > 1 {
		x.get = ", consistencyLevel: ONE" // unknown to a class that is not replicated
	}
	return true, nil
}

func (x *Index) create(ctx context.Context, o Options) error {
	description, err := json.Marshal(about{o.Model, o.Dim})
	if err != nil {
		return errors.Wrap(err, "weaviate")
	}
	kind := "hnsw"
	if o.Exact {
		kind = "flat"
	}
	type object = map[string]any
	vectors := object{
		"vectorizer":        object{"none": object{}},
		"vectorIndexType":   kind,
		"vectorIndexConfig": object{"distance": "dot"},
	}
	kept := func(name string) object { // a property that is not searched
		return object{"name": name, "dataType": []string{"text"}, "indexFilterable": false, "indexSearchable": false}
	}
	err = x.do(ctx, http.MethodPost, "/v1/schema", object{
		"class":        x.class,
		"description":  string(description),
		"vectorConfig": object{"image": vectors, "text": vectors},
		"properties": []object{
			kept("item"), kept("image"), kept("text"), kept("meta"),
			{"name": "marks", "dataType": []string{"text[]"}, "tokenization": "field", "indexSearchable": false},
		},
		"replicationConfig": object{"factor": max(1, o.Replicas), "asyncEnabled": o.Replicas > 1},
	}, nil, true)
	// Another program may have made it meanwhile: what it made is checked next.
	if r := (*refusal)(nil); errors.As(err, &r) && strings.Contains(r.message, "already exists") {
		return nil
	}
	return err
}

// Close frees nothing: the items are the cluster's.
func (x *Index) Close() error { return nil }
