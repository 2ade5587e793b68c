package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/pkg/errors"

	"tessera/clip/search"
)

const (
	batch = 256  // objects sent in one request
	names = 1000 // UUIDs in one request, objects in one list
)

// An object is an item as Weaviate holds it.
type object struct {
	Item       string   `json:"item"`
	Image      string   `json:"image"`
	Text       string   `json:"text"`
	Meta       string   `json:"meta"` // JSON
	Marks      []string `json:"marks,omitempty"`
	Additional struct {
		ID      string  `json:"id"`
		Vectors vectors `json:"vectors"`
	} `json:"_additional,omitzero"`
	Count *struct { // in an answer to Aggregate
		Count int `json:"count"`
	} `json:"count,omitempty"`
}

type vectors struct {
	Image []float32 `json:"image,omitempty"`
	Text  []float32 `json:"text,omitempty"`
}

// fields are those of an object, in GraphQL.
const fields = "item image text meta _additional{id vectors{image text}}"

// identity names the object of an item, so that putting it again replaces it.
func identity(id string) string {
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("tessera/clip/search"))
	return uuid.NewSHA1(space, []byte(id)).String()
}

// item reads an object, which may be anybody's.
func (o *object) item(dim int) (search.Item, error) {
	it, err := o.properties()
	if err != nil {
		return it, err
	}
	it.ImageVector, it.TextVector = o.Additional.Vectors.Image, o.Additional.Vectors.Text
	return it, errors.Wrapf(it.Validate(dim), "weaviate: object %s", o.Additional.ID)
}

// properties are the item without its vectors.
func (o *object) properties() (search.Item, error) {
	it := search.Item{ID: o.Item, Image: o.Image, Text: o.Text}
	if it.ID == "" {
		return it, errors.Errorf("weaviate: object %s is no item: it has no id", o.Additional.ID)
	}
	if o.Meta != "" {
		if err := json.Unmarshal([]byte(o.Meta), &it.Meta); err != nil {
			return it, errors.Wrapf(err, "weaviate: object %s: metadata", o.Additional.ID)
		}
	}
	return it, nil
}

// Put implements search.Index, but see Index on errors.
func (x *Index) Put(ctx context.Context, items []search.Item) error {
	type sent struct {
		Class      string         `json:"class"`
		ID         string         `json:"id"`
		Properties map[string]any `json:"properties"`
		Vectors    vectors        `json:"vectors"`
	}
	var all []sent
	at := make(map[string]int, len(items)) // an item given twice counts as given last
	for _, it := range items {
		if err := it.Validate(x.about.Dim); err != nil {
			return err
		}
		meta, marks, err := metadata(it)
		if err != nil {
			return err
		}
		o := sent{x.class, identity(it.ID), map[string]any{
			"item": it.ID, "image": it.Image, "text": it.Text, "meta": meta, "marks": marks,
		}, vectors{it.ImageVector, it.TextVector}}
		if i, ok := at[it.ID]; ok {
			all[i] = o
		} else {
			at[it.ID] = len(all)
			all = append(all, o)
		}
	}
	defer x.wrote()
	for part := range slices.Chunk(all, batch) {
		err := x.do(ctx, http.MethodPost, "/v1/batch/objects?consistency_level=ALL",
			map[string]any{"objects": part}, func(got []byte) error { return readPut(got, len(part)) }, true)
		if err != nil {
			return err
		}
	}
	return nil
}

// readPut checks the answer to a batch of n objects.
func readPut(got []byte, n int) error {
	var objects []struct {
		ID     string `json:"id"`
		Result struct {
			Status string `json:"status"`
			Errors struct {
				Error []struct {
					Message string `json:"message"`
				} `json:"error"`
			} `json:"errors"`
		} `json:"result"`
	}
	if err := decode(got, &objects); err != nil {
		return err
	}
	if len(objects) != n {
		return errors.Errorf("the answer is about %d objects, want %d", len(objects), n)
	}
	for _, o := range objects {
		if o.Result.Status != "SUCCESS" {
			why := o.Result.Status
			for _, e := range o.Result.Errors.Error {
				why += " " + e.Message
			}
			return errors.Errorf("object %s: %s", o.ID, why)
		}
	}
	return nil
}

// Delete implements search.Index.
func (x *Index) Delete(ctx context.Context, ids []string) (int, error) {
	n := 0
	defer x.wrote()
	for part := range slices.Chunk(unique(ids), names) {
		var answer struct {
			Results struct {
				Matches    int `json:"matches"`
				Successful int `json:"successful"`
				Failed     int `json:"failed"`
			} `json:"results"`
		}
		// Not sent again once it may have arrived: the items would not be counted.
		err := x.do(ctx, http.MethodDelete, "/v1/batch/objects?consistency_level=ALL", map[string]any{
			"output": "minimal",
			"match": map[string]any{"class": x.class, "where": map[string]any{
				"path": []string{"id"}, "operator": "ContainsAny", "valueTextArray": part,
			}},
		}, func(got []byte) error { return decode(got, &answer) }, false)
		n += answer.Results.Successful
		if err != nil {
			return n, err
		}
		if answer.Results.Failed > 0 {
			return n, errors.Errorf("weaviate: %d of %d items could not be deleted", answer.Results.Failed, answer.Results.Matches)
		}
	}
	return n, nil
}

// unique gives the UUIDs of ids, each once.
func unique(ids []string) []string {
	uuids := make([]string, len(ids))
	for i, id := range ids {
		uuids[i] = identity(id)
	}
	slices.Sort(uuids)
	return slices.Compact(uuids)
}

// Get implements search.Index.
func (x *Index) Get(ctx context.Context, ids []string) ([]search.Item, error) {
	found := make(map[string]search.Item, len(ids))
	for part := range slices.Chunk(unique(ids), names) {
		g, err := x.ask(ctx, fmt.Sprintf(`{found: Get{%s(limit: %d%s, where: {path: ["id"], operator: ContainsAny, valueText: ["%s"]}){%s}}}`,
			x.class, len(part), x.get, strings.Join(part, `", "`), fields))
		if err != nil {
			return nil, err
		}
		for _, o := range g.Data["found"][x.class] {
			it, err := o.item(x.about.Dim)
			if err != nil {
				return nil, err
			}
			found[it.ID] = it
		}
	}
	var items []search.Item
	for _, id := range ids {
		if it, ok := found[id]; ok {
			items = append(items, it)
		}
	}
	return items, nil
}

// All gives all items by UUID, without their vectors. An item that is written
// meanwhile may be missed.
func (x *Index) All(ctx context.Context) iter.Seq2[search.Item, error] {
	return func(yield func(search.Item, error) bool) {
		for after := uuid.Nil.String(); ; {
			part, err := x.list(ctx, after, names, "")
			if err != nil {
				yield(search.Item{}, err)
				return
			}
			for _, l := range part {
				o := l.Properties
				o.Additional.ID = l.ID
				it, err := o.properties()
				if err != nil {
					yield(search.Item{}, err)
					return
				}
				if !yield(it, nil) {
					return
				}
			}
			if len(part) < names {
				return
			}
			after = part[len(part)-1].ID
		}
	}
}

// listed is an object as Weaviate lists it.
type listed struct {
	ID         string  `json:"id"`
	Properties object  `json:"properties"`
	Vectors    vectors `json:"vectors"`
}

// list gives objects by UUID, the first behind a given one. All copies of the
// class give the same.
func (x *Index) list(ctx context.Context, after string, limit int, include string) ([]listed, error) {
	var list struct {
		Objects []listed `json:"objects"`
	}
	path := fmt.Sprintf("/v1/objects?class=%s&limit=%d&include=%s&after=%s", x.class, limit, include, after)
	err := x.do(ctx, http.MethodGet, path, nil, func(got []byte) error {
		list.Objects = nil
		if err := decode(got, &list); err != nil {
			return err
		}
		if n := len(list.Objects); n > limit || n > 0 && list.Objects[n-1].ID <= after {
			return errors.Errorf("a list of %d objects that does not go on from %s, want at most %d", n, after, limit)
		}
		return nil
	}, true)
	return list.Objects, err
}

// Info implements search.Index; the bytes on disk are not known.
func (x *Index) Info(ctx context.Context) (search.Info, error) {
	info := search.Info{Model: x.about.Model, Dim: x.about.Dim}
	g, err := x.ask(ctx, fmt.Sprintf(`{items: Aggregate{%[1]s{count: meta{count}}} images: Aggregate{%[1]s(where: %[2]s){count: meta{count}}} texts: Aggregate{%[1]s(where: %[3]s){count: meta{count}}}}`,
		x.class, marked("ContainsAny", hasImage), marked("ContainsAny", hasText)))
	for _, c := range []struct {
		alias string
		n     *int
	}{{"items", &info.Items}, {"images", &info.Images}, {"texts", &info.Texts}} {
		if err == nil {
			*c.n, err = count(g.Data[c.alias][x.class])
		}
	}
	return info, err
}

func count(answer []object) (int, error) {
	if len(answer) != 1 || answer[0].Count == nil {
		return 0, errors.New("weaviate: an answer without a count")
	}
	return answer[0].Count.Count, nil
}

// wrote makes the next search take a new sample.
func (x *Index) wrote() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sample = nil
	x.stale++
}
