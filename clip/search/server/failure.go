package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/pkg/errors"
)

// statusGone is only for logs and metrics: whoever asked has left. The number is
// that of nginx.
const statusGone = 499

// A failure is an error that the client is told.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.message }

func refuse(status int, code, format string, args ...any) error {
	return &failure{status, code, errors.Errorf(format, args...).Error()}
}

// badRequest is for a request that is wrong in itself.
func badRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, "invalid_value", format, args...)
}

// failureOf says what a client is told of an error. What went wrong inside is
// for the log.
func failureOf(ctx context.Context, err error) *failure {
	var f *failure
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &large):
		return &failure{http.StatusRequestEntityTooLarge, "body_too_large",
			errors.Errorf("the body is longer than %d bytes", large.Limit).Error()}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &failure{http.StatusServiceUnavailable, "timeout", "the request took too long"}
	case ctx.Err() != nil:
		return &failure{statusGone, "client_gone", "the client left"}
	case errors.Is(err, errStopped), errors.Is(err, context.Canceled):
		return &failure{http.StatusServiceUnavailable, "stopping", "the request was broken off"}
	}
	return &failure{http.StatusInternalServerError, "internal_error", "something failed inside; the log of the server says what"}
}

// kind is OpenAI's name for a class of errors.
func (f *failure) kind() string {
	switch {
	case f.status == http.StatusUnauthorized:
		return "authentication_error"
	case f.status == http.StatusForbidden:
		return "permission_error"
	case f.status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case f.status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

func (f *failure) write(w http.ResponseWriter) {
	switch f.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1") // second
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="tessera"`)
	}
	type body struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    string `json:"code"`
	}
	writeJSON(w, f.status, map[string]body{"error": {f.message, f.kind(), f.code}})
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return errors.Wrap(err, "answer")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // the client may be gone, which is no failure of ours
	return nil
}
