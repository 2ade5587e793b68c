package server

import (
	"fmt"
	"net/http"

	"github.com/pkg/errors"

	"tessera/clip/search"
)

// searchRequest is the body of POST /v1/search.
type searchRequest struct {
	Terms    []term          `json:"terms"`
	In       search.Modality `json:"in"`
	Fusion   search.Fusion   `json:"fusion"`
	K        *int            `json:"k"` // 10 if missing
	Filter   search.Filter   `json:"filter"`
	MinScore *float64        `json:"min_score"`
}

// A term is a text or an image to look for, or with a weight below 0 to stay
// away from.
type term struct {
	Text   *string  `json:"text"`
	Image  *string  `json:"image"`  // data URL
	Weight *float64 `json:"weight"` // 1 if missing
}

// query checks the request and gives the query without its vectors.
func (s *Server) query(r searchRequest) (search.Query, []content, error) {
	q := search.Query{In: r.In, Fusion: r.Fusion, K: 10, Filter: r.Filter, MinScore: r.MinScore}
	if r.K != nil {
		q.K = *r.K
	}
	if q.K > s.o.MaxK {
		return q, nil, badRequest("k is %d, at most %d hits are given", q.K, s.o.MaxK)
	}
	if err := q.Filter.Validate(); err != nil {
		return q, nil, badRequest("filter: %v", err)
	}
	contents := make([]content, len(r.Terms))
	for i, t := range r.Terms {
		field := fmt.Sprintf("terms[%d]", i)
		c, err := s.content(t.Text, t.Image, field)
		if err != nil {
			return q, nil, err
		}
		made := search.Term{Kind: search.Texts, Weight: 1}
		if c.image != nil {
			made.Kind = search.Images
		}
		if t.Weight != nil {
			made.Weight = *t.Weight
		}
		contents[i], q.Terms = c, append(q.Terms, made)
	}
	return q, contents, nil
}

// content is the text or the image of an object that has one of the two.
func (s *Server) content(text, image *string, field string) (content, error) {
	switch {
	case (text == nil) == (image == nil):
		return content{}, badRequest("%s: want either text or image", field)
	case text != nil:
		if *text == "" {
			return content{}, badRequest("%s.text is empty", field)
		}
		return textContent(*text, field+".text")
	}
	p, err := s.readDataURL(*image, field+".image")
	return content{image: &p}, err
}

// maxText bounds the work of finding tokens, of which a model sees the first
// hundred or so.
const maxText = 32 << 10 // bytes

func textContent(text, field string) (content, error) {
	if len(text) > maxText {
		return content{}, refuse(http.StatusRequestEntityTooLarge, "text_too_long", "%s has %d bytes, at most %d are taken", field, len(text), maxText)
	}
	return content{text: text}, nil
}

// search answers POST /v1/search with {"hits": […]}, the best first.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	var body searchRequest
	release, err := s.readJSON(w, r, &body)
	defer release()
	if err != nil {
		return err
	}
	q, contents, err := s.query(body)
	if err != nil {
		return err
	}
	vectors, err := s.vectors(r.Context(), contents)
	if err != nil {
		return err
	}
	for i, v := range vectors {
		q.Terms[i].Vector = v
	}
	if err := q.Validate(s.dim); err != nil {
		return badRequest("%v", err)
	}
	hits, err := s.index.Search(r.Context(), q)
	if err != nil {
		return errors.Wrap(err, "search")
	}
	if hits == nil {
		hits = []search.Hit{}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"hits": hits})
}
