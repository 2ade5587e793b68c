package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pkg/errors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tessera/clip/search"
)

// A handler answers a request or says why not; then it has written nothing.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes are the addresses of the server.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	route := func(pattern string, methods map[string]handler) {
		mux.Handle(pattern, s.answer(pattern, methods))
	}
	numbers := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{})
	route("/v1/search", map[string]handler{"POST": s.search})
	route("/v1/info", map[string]handler{"GET": s.info})
	route("/v1/items", map[string]handler{"POST": s.putItems})
	route("/v1/items/{id...}", map[string]handler{"GET": s.getItem, "DELETE": s.deleteItem})
	route("/v1/embeddings", map[string]handler{"POST": s.embeddings})
	route("/v1/thumbnail/{id...}", map[string]handler{"GET": s.thumbnail})
	route("/v1/heatmap/{id...}", map[string]handler{"GET": s.heatmap})
	route("/metrics", map[string]handler{"GET": func(w http.ResponseWriter, r *http.Request) error {
		numbers.ServeHTTP(w, r)
		return nil
	}})
	route("/healthz", map[string]handler{"GET": s.health})
	route("/{$}", map[string]handler{"GET": pageFile("index.html", "text/html; charset=utf-8")})
	route("/page.css", map[string]handler{"GET": pageFile("page.css", "text/css; charset=utf-8")})
	route("/page.js", map[string]handler{"GET": pageFile("page.js", "text/javascript; charset=utf-8")})
	mux.Handle("/", s.answer("", nil))
	return mux
}

// open are the routes that want no token: the page asks for it.
var open = []string{"/{$}", "/page.css", "/page.js", "/healthz"}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if !s.enter() {
		(&failure{http.StatusServiceUnavailable, "stopping", "the server is stopping"}).write(w)
		return
	}
	defer s.active.Done()
	ctx, cancel := context.WithTimeout(r.Context(), s.o.Timeout)
	defer cancel()
	s.mux.ServeHTTP(w, r.WithContext(ctx))
}

// answer is the way of every request: who asks, and how, before what.
func (s *Server) answer(route string, methods map[string]handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		if err := s.admitted(route, methods, seen, r); err != nil {
			f := failureOf(r.Context(), err)
			level := slog.LevelDebug
			if f.status == http.StatusInternalServerError {
				level = slog.LevelError
			}
			s.o.Log.Log(r.Context(), level, "refused", "method", r.Method, "path", r.URL.Path, "status", f.status, "error", err.Error())
			f.write(seen)
		}
		s.metrics.observe(route, r.Method, seen.status, time.Since(start))
	})
}

func (s *Server) admitted(route string, methods map[string]handler, w http.ResponseWriter, r *http.Request) error {
	if err := s.checkHost(r); err != nil {
		return err
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return refuse(http.StatusForbidden, "cross_site", "pages of other sites may not do this: %v", err)
	}
	if !slices.Contains(open, route) && !s.authorized(r) {
		return refuse(http.StatusUnauthorized, "invalid_token", `this needs the header "Authorization: Bearer TOKEN" with the token of the server`)
	}
	if methods == nil {
		return refuse(http.StatusNotFound, "not_found", "there is nothing at %s", r.URL.Path)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	h := methods[method]
	if h == nil {
		var allowed []string
		for m := range methods {
			allowed = append(allowed, m)
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "%s does not take %s, but %s", r.URL.Path, r.Method, strings.Join(allowed, " and "))
	}
	return h(w, r)
}

// authorized compares hashes, whose comparison takes as long for every token.
func (s *Server) authorized(r *http.Request) bool {
	if s.o.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.o.Token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// checkHost refuses names that are not ours where the connection came in on a
// loopback address: a page elsewhere may let its own name point here, and then
// is of the same site in the eyes of the browser (DNS rebinding).
func (s *Server) checkHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return nil
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	address, err := netip.ParseAddr(host)
	switch {
	case strings.EqualFold(host, "localhost"), err == nil && address.Unmap().IsLoopback():
		return nil
	case slices.ContainsFunc(s.o.Hosts, func(name string) bool { return strings.EqualFold(name, host) }):
		return nil
	}
	return refuse(http.StatusForbidden, "unknown_host", "this server does not go by the name %q", host)
}

// statusWriter remembers the status that was sent.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// health says that the index answers.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.index.Info(r.Context()); err != nil {
		s.o.Log.Error("index", "error", err.Error())
		return refuse(http.StatusServiceUnavailable, "unhealthy", "the index does not answer")
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// info says what is in the index and what the page can show of it.
func (s *Server) info(w http.ResponseWriter, r *http.Request) error {
	info, err := s.index.Info(r.Context())
	if err != nil {
		return errors.Wrap(err, "info")
	}
	return writeJSON(w, http.StatusOK, struct {
		search.Info
		Thumbnails bool `json:"thumbnails"`
		Heatmaps   bool `json:"heatmaps"`
		MaxK       int  `json:"max_k"`
	}{info, s.folder != nil, s.folder != nil && s.o.Heater != nil, s.o.MaxK})
}
