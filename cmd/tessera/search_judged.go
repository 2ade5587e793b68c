package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/search"
)

// relevance is a query and the gains of what is relevant to it.
type relevance struct {
	Text     string          `json:"text"`
	Image    string          `json:"image"`
	Relevant json.RawMessage `json:"relevant"`

	gains map[string]float64
}

// judged holds an index against judgements, with each kind of fusion.
func (o *searchEvalOptions) judged(cmd *cobra.Command, q search.Query) ([]found, error) {
	ctx, log := cmd.Context(), logger(cmd)
	f, err := os.Open(o.judgements)
	if err != nil {
		return nil, errors.Wrap(err, "--judgements")
	}
	defer f.Close()
	judgements, err := readJudgements(f)
	if err != nil {
		return nil, errors.WithMessagef(err, "--judgements %s", o.judgements)
	}
	m, err := o.embedder(log)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	index, err := o.open(ctx, m, reading)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	if err := known(ctx, index, judgements, func(missing int, first string) {
		log.Warn("judged items are not in the index: they count as not found", "items", missing, "first", first)
	}); err != nil {
		return nil, err
	}
	var queries [][]search.Term
	for _, j := range judgements {
		var all []wanted
		if j.Text != "" {
			all = append(all, wanted{search.Texts, j.Text, 1})
		}
		if j.Image != "" {
			path := j.Image
			if !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(o.judgements), path)
			}
			all = append(all, wanted{search.Images, path, 1})
		}
		t, err := terms(ctx, m, all)
		if err != nil {
			return nil, err
		}
		queries = append(queries, t)
	}
	return o.compare(ctx, index, q, queries, func(i int) map[string]float64 { return judgements[i].gains })
}

// compare measures each kind of fusion on the same queries.
func (o *searchEvalOptions) compare(ctx context.Context, index search.Index, q search.Query, queries [][]search.Term, gains func(i int) map[string]float64) ([]found, error) {
	kinds := o.fusions
	if len(kinds) == 0 {
		kinds = fusions()
	}
	var all []found
	for _, kind := range kinds {
		q.Fusion = search.Fusion(kind)
		m := measurement{name: kind}
		for i, terms := range queries {
			q.Terms = terms
			hits, err := m.ask(ctx, index, q)
			if err != nil {
				return nil, err
			}
			m.score(hits, gains(i), q.K)
			m.first += search.Recall(hits, gains(i), 1)
		}
		all = append(all, m.found())
	}
	return all, nil
}

// readJudgements reads lines of JSON; blank ones do not count.
func readJudgements(r io.Reader) ([]relevance, error) {
	var all []relevance
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for line := 1; s.Scan(); line++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		j, err := readJudgement(s.Bytes())
		if err != nil {
			return nil, errors.WithMessagef(err, "line %d", line)
		}
		all = append(all, j)
	}
	if err := s.Err(); err != nil {
		return nil, errors.WithStack(err)
	}
	if len(all) == 0 {
		return nil, errors.New("there are no judgements")
	}
	return all, nil
}

func readJudgement(line []byte) (j relevance, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return j, errors.WithStack(err)
	}
	if d.More() {
		return j, errors.New("want one object, there is more")
	}
	if j.Text == "" && j.Image == "" {
		return j, errors.New("there is neither text nor image to look for")
	}
	var list []string
	if json.Unmarshal(j.Relevant, &list) == nil {
		j.gains = map[string]float64{}
		for _, id := range list {
			j.gains[id] = 1
		}
	} else if err := json.Unmarshal(j.Relevant, &j.gains); err != nil {
		return j, errors.New(`"relevant" is neither a list of ids nor an object of ids and gains`)
	}
	best := 0.0
	for id, gain := range j.gains {
		if gain < 0 || math.IsInf(gain, 0) {
			return j, errors.Errorf("the gain of %q is %g, want 0 or more", id, gain)
		}
		best = max(best, gain)
	}
	if best == 0 {
		return j, errors.New(`nothing is relevant`)
	}
	return j, nil
}

// known calls warn if judged items are not in the index.
func known(ctx context.Context, index search.Index, judgements []relevance, warn func(missing int, first string)) error {
	missing, first := 0, ""
	for _, j := range judgements {
		var ids []string
		there := map[string]bool{}
		for id := range j.gains {
			ids = append(ids, id)
		}
		items, err := index.Get(ctx, ids)
		if err != nil {
			return err
		}
		for _, it := range items {
			there[it.ID] = true
		}
		for _, id := range ids {
			if !there[id] {
				if missing++; missing == 1 || id < first {
					first = id
				}
			}
		}
	}
	if missing > 0 {
		warn(missing, first)
	}
	return nil
}
