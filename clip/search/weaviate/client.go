package weaviate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/pkg/errors"
)

// answerLimit bounds the bytes read of one answer.
const answerLimit = 1 << 30

// A client speaks JSON with whichever node of a cluster answers. It is net/http
// alone, because the published client requires the server's whole module graph.
type client struct {
	urls  []string
	token string
	http  *http.Client
	last  atomic.Int64 // index of the node that answered last
}

// A refusal is an answer that no other node would give differently.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.message) }

// do sends body to one node after the other until one gives an answer that read
// takes; read may be nil. Unless again holds, a request that may have reached a
// node is not sent to the next.
func (c *client) do(ctx context.Context, method, path string, body any, read func([]byte) error, again bool) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return errors.Wrap(err, "weaviate")
		}
	}
	first := int(c.last.Load())
	var failed []string
	for i := range c.urls {
		at := (first + i) % len(c.urls)
		err := c.once(ctx, c.urls[at], method, path, sent, read)
		if err == nil {
			c.last.Store(int64(at))
			return nil
		}
		if ctx.Err() != nil {
			return errors.Wrapf(ctx.Err(), "weaviate: %s %s", method, path)
		}
		if r := (*refusal)(nil); errors.As(err, &r) {
			return errors.Wrapf(err, "weaviate: %s: %s %s", c.urls[at], method, path)
		}
		failed = append(failed, fmt.Sprintf("%s: %v", c.urls[at], err))
		if !again && !unsent(err) {
			break
		}
	}
	return errors.Errorf("weaviate: %s %s: %s", method, path, strings.Join(failed, "; "))
}

// unsent reports whether err arose before a connection stood.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (c *client) once(ctx context.Context, node, method, path string, body []byte, read func([]byte) error) error {
	req, err := http.NewRequestWithContext(ctx, method, node+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	switch {
	case err != nil:
		return err
	case len(got) > answerLimit:
		return errors.Errorf("an answer longer than %d bytes", answerLimit)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return errors.Errorf("status %d: %s", resp.StatusCode, message(got))
	case resp.StatusCode >= 300:
		return &refusal{resp.StatusCode, message(got)}
	case read == nil:
		return nil
	}
	return read(got)
}

// message gives the words of an error as Weaviate sends it.
func message(body []byte) string {
	var e struct {
		Error []struct {
			Message string `json:"message"`
		} `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) == nil {
		for _, m := range e.Error {
			if m.Message != "" {
				return m.Message
			}
		}
		if e.Message != "" {
			return e.Message
		}
	}
	return fmt.Sprintf("%.200q", body)
}

// An answer to a GraphQL query: objects by alias of the query, then by class.
type graph struct {
	Data   map[string]map[string][]object `json:"data"`
	Errors []struct {
		Message string `json:"message"`
	} `json:"errors"`
}

// ask runs a GraphQL query. All queries sent are well formed, so that an error
// in the answer is the node's own, such as a shard that it cannot reach, and
// the next node is asked.
func (c *client) ask(ctx context.Context, query string) (g graph, err error) {
	body := map[string]string{"query": query}
	err = c.do(ctx, http.MethodPost, "/v1/graphql", body, func(got []byte) (err error) {
		g, err = readGraph(got)
		return err
	}, true)
	return g, err
}

func readGraph(got []byte) (g graph, err error) {
	if err := decode(got, &g); err != nil {
		return g, err
	}
	if len(g.Errors) > 0 {
		return g, errors.New(g.Errors[0].Message)
	}
	return g, nil
}

func decode(got []byte, into any) error {
	if err := json.Unmarshal(got, into); err != nil {
		return errors.Wrapf(err, "not an answer of Weaviate: %.100q", got)
	}
	return nil
}
