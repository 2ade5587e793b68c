package main

import (
	"context"
	"image"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/pflag"

	"tessera/clip/embed"
	"tessera/clip/search"
	"tessera/train/data"
)

// searchTerms are the flags of what is looked for, and where.
type searchTerms struct {
	texts, minusTexts, images, minusImages []string
	in, fusion                             string
	where                                  []string
	top                                    int
	min                                    float64
}

func (o *searchTerms) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&o.texts, "text", nil, "text to look for; may be repeated; TEXT^0.5 counts half")
	f.StringArrayVar(&o.minusTexts, "minus-text", nil, "text to stay away from; may be repeated")
	f.StringArrayVar(&o.images, "image", nil, "image file to look for; may be repeated")
	f.StringArrayVar(&o.minusImages, "minus-image", nil, "image file to stay away from; may be repeated")
	f.StringVar(&o.in, "in", "both", "what of the items is looked at: image, text, or both")
	f.StringVar(&o.fusion, "fusion", string(search.DefaultFusion), "how the scores of image and text become one: "+strings.Join(fusions(), ", "))
	f.StringArrayVar(&o.where, "where", nil, "condition on metadata: KEY, KEY=VALUE, KEY!=VALUE, or with < <= > >=; may be repeated, all must hold")
	f.IntVar(&o.top, "top", 10, "hits")
	f.Float64Var(&o.min, "min-score", math.Inf(-1), "leave out hits with less")
}

func fusions() []string {
	return []string{string(search.Raw), string(search.Centred), string(search.Standardized), string(search.Reciprocal)}
}

// check gives the query without its terms.
func (o *searchTerms) check() (q search.Query, err error) {
	switch {
	case o.top < 1:
		return q, usagef("--top is %d, want 1 or more", o.top)
	case math.IsNaN(o.min):
		return q, usagef("--min-score is not a number")
	case !slices.Contains(fusions(), o.fusion):
		return q, unknown("fusion", o.fusion, fusions())
	}
	q = search.Query{K: o.top, Fusion: search.Fusion(o.fusion)}
	switch o.in {
	case "both":
	case string(search.Images), string(search.Texts):
		q.In = search.Modality(o.in)
	default:
		return q, unknown("part of an item: --in", o.in, []string{"image", "text", "both"})
	}
	if !math.IsInf(o.min, -1) {
		q.MinScore = &o.min
	}
	for _, s := range o.where {
		c, err := parseCondition(s)
		if err != nil {
			return q, err
		}
		q.Filter = append(q.Filter, c)
	}
	if err := q.Filter.Validate(); err != nil {
		return q, usagef("--where: %v", err)
	}
	return q, nil
}

// parseCondition reads KEY, or KEY, one of = != < <= > >=, and VALUE.
func parseCondition(s string) (c search.Condition, err error) {
	i := strings.IndexAny(s, "=!<>")
	if i < 0 {
		c.Key, c.Op = strings.TrimSpace(s), search.Exists
	} else {
		c.Key = strings.TrimSpace(s[:i])
		for _, op := range []search.Op{search.NotEqual, search.LessEqual, search.GreaterEqual, search.Equal, search.Less, search.Greater} {
			if value, ok := strings.CutPrefix(s[i:], string(op)); ok {
				c.Op, c.Value = op, metaValue(strings.TrimSpace(value))
				break
			}
		}
	}
	if c.Key == "" || c.Op == "" {
		return c, usagef("--where %s: want KEY, KEY=VALUE, KEY!=VALUE, or with < <= > >=", s)
	}
	return c, nil
}

// wanted is a text or an image that is looked for.
type wanted struct {
	kind   search.Modality
	value  string // the text, or the path of the image
	weight float64
}

// wanted are the terms in the order of their flags.
func (o *searchTerms) wanted() (all []wanted, err error) {
	for _, group := range []struct {
		flag   string
		kind   search.Modality
		sign   float64
		values []string
	}{
		{"--text", search.Texts, 1, o.texts}, {"--image", search.Images, 1, o.images},
		{"--minus-text", search.Texts, -1, o.minusTexts}, {"--minus-image", search.Images, -1, o.minusImages},
	} {
		for _, s := range group.values {
			value, weight, err := weighted(s)
			if err != nil || strings.TrimSpace(value) == "" {
				return nil, usagef("%s %s: want something, with ^WEIGHT behind it or not, of a weight above 0", group.flag, s)
			}
			all = append(all, wanted{group.kind, value, group.sign * weight})
		}
	}
	if len(all) == 0 {
		return nil, usagef("there is nothing to look for: want --text or --image")
	}
	return all, nil
}

// weighted cuts the weight from "VALUE^WEIGHT".
func weighted(s string) (value string, weight float64, err error) {
	i := strings.LastIndexByte(s, '^')
	if i < 0 {
		return s, 1, nil
	}
	weight, err = strconv.ParseFloat(s[i+1:], 64)
	if err != nil {
		return s, 1, nil // a caret of the text
	}
	if !(weight > 0) || math.IsInf(weight, 0) {
		return s, 0, errors.New("not a weight")
	}
	return s[:i], weight, nil
}

// terms embeds what is looked for.
func terms(ctx context.Context, m *embed.Model, all []wanted) ([]search.Term, error) {
	out := make([]search.Term, len(all))
	for i, a := range all {
		var rows [][]float32
		var err error
		if a.kind == search.Texts {
			rows, err = m.Texts(ctx, []string{a.value})
		} else {
			var im *data.Image
			if im, err = data.DecodeFile(a.value, 0); err == nil {
				rows, err = m.Images(ctx, []image.Image{im.Std()})
			}
		}
		if err != nil {
			return nil, err
		}
		out[i] = search.Term{Vector: rows[0], Kind: a.kind, Weight: a.weight}
	}
	return out, nil
}
