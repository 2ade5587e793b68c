package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/pkg/errors"

	"tessera/clip/search"
)

// itemRequest is an item as POST /v1/items takes it.
type itemRequest struct {
	ID string `json:"id"`
	// Image is a data URL, of which the vector is kept and not the image, or
	// where the image is in the server's folder.
	Image string         `json:"image"`
	Text  string         `json:"text"`
	Meta  map[string]any `json:"meta"`
	// Vectors that are known need no model. Image and Text are then not read.
	ImageVector []float32 `json:"image_vector"`
	TextVector  []float32 `json:"text_vector"`
}

// readItems takes an item or a list of them.
func readItems(b json.RawMessage) ([]itemRequest, error) {
	if bytes.HasPrefix(b, []byte("[")) {
		var items []itemRequest
		return items, parse(b, "", &items)
	}
	items := make([]itemRequest, 1)
	return items, parse(b, "", &items[0])
}

// putItems answers POST /v1/items when all the items are on disk, or says why
// none is.
func (s *Server) putItems(w http.ResponseWriter, r *http.Request) error {
	var body json.RawMessage
	release, err := s.readJSON(w, r, &body)
	defer release()
	if err != nil {
		return err
	}
	requests, err := readItems(body)
	if err != nil {
		return err
	}
	items, err := s.embedItems(r, requests)
	if err != nil {
		return err
	}
	if err := s.index.Put(r.Context(), items); err != nil {
		return errors.Wrap(err, "put")
	}
	return writeJSON(w, http.StatusOK, map[string]int{"items": len(items)})
}

// embedItems makes the vectors that the requests lack.
func (s *Server) embedItems(r *http.Request, requests []itemRequest) ([]search.Item, error) {
	items := make([]search.Item, len(requests))
	var contents []content
	var to []*[]float32 // where the vector of each content belongs
	for i, q := range requests {
		item := &items[i]
		*item = search.Item{ID: q.ID, Image: q.Image, Text: q.Text, Meta: q.Meta, ImageVector: q.ImageVector, TextVector: q.TextVector}
		if q.ImageVector == nil && q.Image != "" {
			p, err := s.itemPicture(item)
			if err != nil {
				return nil, err
			}
			contents, to = append(contents, content{image: &p}), append(to, &item.ImageVector)
		}
		if q.TextVector == nil && q.Text != "" {
			c, err := textContent(q.Text, fmt.Sprintf("item %q: text", q.ID))
			if err != nil {
				return nil, err
			}
			contents, to = append(contents, c), append(to, &item.TextVector)
		}
	}
	vectors, err := s.vectors(r.Context(), contents)
	if err != nil {
		return nil, err
	}
	for i, v := range vectors {
		*to[i] = v
	}
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		if err := item.Validate(s.dim); err != nil {
			return nil, badRequest("%v", err)
		}
		if seen[item.ID] {
			return nil, badRequest("id %q is there twice", item.ID)
		}
		seen[item.ID] = true
	}
	return items, nil
}

// itemPicture reads the image of an item. That of a data URL is kept nowhere.
func (s *Server) itemPicture(item *search.Item) (picture, error) {
	field := fmt.Sprintf("item %q: image", item.ID)
	if strings.HasPrefix(item.Image, "data:") {
		url := item.Image
		item.Image = ""
		return s.readDataURL(url, field)
	}
	file, err := s.readImage(item.Image)
	if err != nil {
		return picture{}, badRequest("%s is %.40q, want a data URL or an image in the folder of the server", field, item.Image)
	}
	return s.readPicture(file, field)
}

// itemOf is the item a request names.
func (s *Server) itemOf(r *http.Request) (search.Item, error) {
	id := r.PathValue("id")
	found, err := s.index.Get(r.Context(), []string{id})
	switch {
	case err != nil:
		return search.Item{}, errors.Wrap(err, "get")
	case len(found) == 0:
		return search.Item{}, refuse(http.StatusNotFound, "no_such_item", "there is no item %q", id)
	}
	return found[0], nil
}

func (s *Server) getItem(w http.ResponseWriter, r *http.Request) error {
	item, err := s.itemOf(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, item)
}

func (s *Server) deleteItem(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	n, err := s.index.Delete(r.Context(), []string{id})
	switch {
	case err != nil:
		return errors.Wrap(err, "delete")
	case n == 0:
		return refuse(http.StatusNotFound, "no_such_item", "there is no item %q", id)
	}
	return writeJSON(w, http.StatusOK, map[string]int{"deleted": n})
}
