package server

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/pkg/errors"
)

// embeddingsRequest is the body of POST /v1/embeddings as OpenAI's clients send
// it. Any model is taken, for there is but one; user is for the client's own use.
type embeddingsRequest struct {
	Input          json.RawMessage `json:"input"`
	Model          string          `json:"model"`
	EncodingFormat string          `json:"encoding_format"` // "float", the default, or "base64"
	Dimensions     *int            `json:"dimensions"`
	User           string          `json:"user"`
}

// inputs reads a text, a data URL, {"text": …}, {"image": data URL}, or a list of
// these. A string that begins like the data URL of an image is one.
func (s *Server) inputs(b json.RawMessage) ([]content, error) {
	switch {
	case len(b) == 0:
		return nil, badRequest("input is missing, want a text, an image or a list of them")
	case !bytes.HasPrefix(b, []byte("[")):
		c, err := s.input(b, "input")
		return []content{c}, err
	}
	var list []json.RawMessage
	if err := parse(b, "input", &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, badRequest("input is an empty list")
	}
	contents := make([]content, len(list))
	for i, b := range list {
		var err error
		if contents[i], err = s.input(b, fmt.Sprintf("input[%d]", i)); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

func (s *Server) input(b json.RawMessage, field string) (content, error) {
	var object struct {
		Text  *string `json:"text"`
		Image *string `json:"image"`
	}
	switch b[0] {
	case '{':
		if err := parse(b, field, &object); err != nil {
			return content{}, err
		}
	case '"':
		var text string
		if err := parse(b, field, &text); err != nil {
			return content{}, err
		}
		if object.Text = &text; strings.HasPrefix(text, "data:image/") {
			object.Text, object.Image = nil, &text
		}
	default:
		return content{}, badRequest(`%s is %.20s, want a text, or an object with a text or an image; tokens are not taken`, field, b)
	}
	return s.content(object.Text, object.Image, field)
}

// embeddings answers POST /v1/embeddings.
func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) error {
	var body embeddingsRequest
	release, err := s.readJSON(w, r, &body)
	defer release()
	if err != nil {
		return err
	}
	switch {
	case body.EncodingFormat != "" && body.EncodingFormat != "float" && body.EncodingFormat != "base64":
		return badRequest(`encoding_format is %q, want "float" or "base64"`, body.EncodingFormat)
	case body.Dimensions != nil && *body.Dimensions != s.dim:
		return badRequest("dimensions is %d, but vectors of this model have %d", *body.Dimensions, s.dim)
	}
	contents, err := s.inputs(body.Input)
	if err != nil {
		return err
	}
	vectors, err := s.vectors(r.Context(), contents)
	if err != nil {
		return err
	}
	type embedding struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	out := make([]embedding, len(vectors))
	for i, v := range vectors {
		out[i] = embedding{"embedding", i, v}
		if body.EncodingFormat == "base64" {
			out[i].Embedding = littleEndian(v)
		}
	}
	tokens, err := s.tokens(contents)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "data": out, "model": s.embed.Model(),
		"usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
	})
}

// littleEndian is base64 of the numbers as they lie in memory on most machines.
func littleEndian(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// tokens counts those of the texts, where the embedder can tell.
func (s *Server) tokens(contents []content) (int, error) {
	encoder, ok := s.embed.(interface {
		Encode(texts []string) ([][]int, error)
	})
	if !ok {
		return 0, nil
	}
	var texts []string
	for _, c := range contents {
		if c.image == nil {
			texts = append(texts, c.text)
		}
	}
	if len(texts) == 0 {
		return 0, nil
	}
	ids, err := encoder.Encode(texts)
	n := 0
	for _, t := range ids {
		n += len(t)
	}
	return n, errors.Wrap(err, "tokens")
}
