package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/pkg/errors"
)

// A budget is a number of bytes that requests share.
type budget struct {
	mu   sync.Mutex
	left int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

// metered reads a body on the budget. Bytes are counted as they come, so that
// none are set aside for a client that announces much and sends nothing.
type metered struct {
	io.Reader
	budget *budget
	taken  int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if !m.budget.take(int64(n)) {
		return 0, refuse(http.StatusTooManyRequests, "busy", "too much is being worked on: try again")
	}
	m.taken += int64(n)
	return n, err
}

// release gives the bytes back.
func (m *metered) release() { m.budget.take(-m.taken) }

// readJSON reads the body of a request, which is one value with no fields that v
// lacks. The caller calls release when the request has been answered.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, v any) (release func(), err error) {
	if r.ContentLength > s.o.MaxBody {
		// Nobody wants to read the rest.
		w.Header().Set("Connection", "close")
		return func() {}, &http.MaxBytesError{Limit: s.o.MaxBody}
	}
	body := &metered{Reader: http.MaxBytesReader(w, r.Body, s.o.MaxBody), budget: &s.pending}
	b, err := io.ReadAll(body)
	if err != nil {
		var told *failure
		var large *http.MaxBytesError
		if !errors.As(err, &told) && !errors.As(err, &large) {
			err = refuse(http.StatusBadRequest, "broken_body", "the body could not be read to its end")
		}
		return body.release, err
	}
	return body.release, parse(b, "", v)
}

// parse reads JSON strictly. Its errors name the field, below the path given.
func parse(b []byte, path string, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if d.InputOffset() != int64(len(bytes.TrimRight(b, " \t\r\n"))) {
			return refuse(http.StatusBadRequest, "malformed_json", "there is more after the JSON value, at byte %d", d.InputOffset())
		}
		return nil
	}
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return refuse(http.StatusBadRequest, "malformed_json", "the body is empty, want a JSON object")
	case errors.As(err, &syntax):
		return refuse(http.StatusBadRequest, "malformed_json", "malformed JSON at byte %d: %v", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "malformed_json", "malformed JSON: it ends early")
	case errors.As(err, &wrong):
		return refuse(http.StatusBadRequest, "invalid_type", "%s is a JSON %s, want %s", join(path, wrong.Field), wrong.Value, jsonType(wrong.Type.Kind()))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return refuse(http.StatusBadRequest, "unknown_field", "unknown field %s", join(path, strings.Trim(name, `"`)))
	}
	return badRequest("%s: %v", join(path, ""), err)
}

// join names a field within a path; the outermost value is "the body".
func join(path, field string) string {
	switch {
	case path == "" && field == "":
		return "the body"
	case path == "":
		return field
	case field == "":
		return path
	}
	return path + "." + field
}
