package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/clip/search"
	"tessera/clip/search/internal/score"
)

const (
	nearest  = 100   // candidates of a modality, at least
	farthest = 10000 // and at most, what the server allows (QUERY_MAXIMUM_RESULTS)
)

// Search implements search.Index; the package says what is approximate. With a
// condition that orders values (Less and the like) it asks for more candidates
// until K pass, and gives an error if the nearest 10000 do not suffice.
func (x *Index) Search(ctx context.Context, q search.Query) ([]search.Hit, error) {
	if err := q.Validate(x.about.Dim); err != nil {
		return nil, err
	}
	q.Fusion = q.Fuses()
	on, rest, err := where(q.Filter)
	if err != nil {
		return nil, err
	}
	s, err := x.scoring(ctx, q)
	if err != nil {
		return nil, err
	}
	for limit := min(max(nearest, 4*q.K), farthest); ; limit = min(4*limit, farthest) {
		found, all, err := x.near(ctx, s, on, limit)
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(it search.Item) bool { return !rest.Match(it.Meta) })
		switch {
		case all || len(found) >= q.K:
			return s.hits(found, q), nil
		case limit == farthest:
			return nil, errors.Errorf("weaviate: only %d of the nearest %d candidates pass the filter; narrow it with = or exists, or ask for fewer than %d hits", len(found), limit, q.K)
		}
	}
}

// near returns the items nearest in any modality of s, by ID, and whether there
// are no others.
func (x *Index) near(ctx context.Context, s *scoring, on string, limit int) ([]search.Item, bool, error) {
	if on != "" {
		on = ", where: " + on
	}
	var b strings.Builder
	b.WriteByte('{')
	for _, m := range s.sides {
		vector, err := json.Marshal(m.Query)
		if err != nil {
			return nil, false, errors.Wrap(err, "weaviate")
		}
		fmt.Fprintf(&b, `%[1]s: Get{%[2]s(limit: %[3]d%[4]s, nearVector: {vector: %[5]s, targetVectors: ["%[1]s"]}%[6]s){%[7]s}} `,
			m.kind, x.class, limit, x.get, vector, on, fields)
	}
	b.WriteByte('}')
	g, err := x.ask(ctx, b.String())
	if err != nil {
		return nil, false, err
	}
	all := true
	var items []search.Item
	for _, m := range s.sides {
		found := g.Data[string(m.kind)][x.class]
		all = all && len(found) < limit
		for _, o := range found {
			it, err := o.item(x.about.Dim)
			if err != nil {
				return nil, false, err
			}
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b search.Item) int { return strings.Compare(a.ID, b.ID) })
	items = slices.CompactFunc(items, func(a, b search.Item) bool { return a.ID == b.ID })
	return items, all, nil
}

// scoring prepares the query's sides.
func (x *Index) scoring(ctx context.Context, q search.Query) (*scoring, error) {
	cosine, err := q.Vector()
	if err != nil {
		return nil, err
	}
	s := &scoring{cosine: cosine}
	for _, kind := range []search.Modality{search.Images, search.Texts} {
		if q.In == search.Either || q.In == kind {
			s.sides = append(s.sides, side{kind: kind, Side: score.Side{Query: cosine, Scale: 1}})
		}
	}
	if q.Fusion != search.Centred && q.Fusion != search.Standardized {
		return s, nil
	}
	sample, err := x.sampled(ctx)
	if err != nil {
		return nil, err
	}
	centres := sample.centres()
	centred := q.Centred(centres)
	for i := range s.sides {
		m := &s.sides[i]
		if q.Fusion == search.Centred {
			m.Query, m.Mean = centred, centres[m.kind]
			if m.Mean != nil {
				m.Shift = score.Product(m.Query, m.Mean)
			}
		} else {
			m.Shift, m.Scale = sample.moments(m.kind, cosine)
		}
	}
	return s, nil
}
