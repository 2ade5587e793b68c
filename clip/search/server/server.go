// Package server answers searches over HTTP: a JSON interface, embeddings in the
// shape of OpenAI's, metrics for Prometheus, and a page to search by typing or
// dropping a picture.
//
//	POST   /v1/search         the best hits for texts and images
//	GET    /v1/info           what is in the index
//	POST   /v1/items          add or replace items; answers when they are on disk
//	GET    /v1/items/{id}     an item
//	DELETE /v1/items/{id}     remove an item
//	POST   /v1/embeddings     vectors of texts and images
//	GET    /v1/thumbnail/{id} the image of an item, small
//	GET    /v1/heatmap/{id}   the parts of its image that speak for ?text=
//	GET    /healthz           200 while the index answers
//	GET    /metrics           for Prometheus
//	GET    /                  the page
//
// A search is a weighted sum of terms; a weight below 0 leads away:
//
//	{"terms": [{"text": "red shoe"}, {"image": "data:image/png;base64,…"}, {"text": "laces", "weight": -0.5}],
//	 "in": "image", "fusion": "centred", "k": 10, "min_score": 0.1,
//	 "filter": [{"key": "price", "op": "<", "value": 10}]}
//
// All but terms may be left out. An item is {"id", "text", "image", "meta"}, with
// a text, an image or both; several go in a list.
//
// Images travel as data URLs with base64. Errors are {"error": {"message",
// "type", "code"}}: 400 for a request that is wrong, 401 without the token, 403
// for a foreign page or host, 404, 405, 413 for what is too large, 429 with
// Retry-After when too much waits already, 503 while stopping or out of time.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/pkg/errors"

	"tessera/clip/search"
)

// Options of a server. A limit of 0 is the default named beside it.
type Options struct {
	// Token, if any, is asked of all but the page and /healthz, as
	// "Authorization: Bearer TOKEN".
	Token string
	// Hosts are names the server is called by when it listens on a loopback
	// address, besides localhost and loopback addresses themselves. Others are
	// refused: a page elsewhere may have its name point to this machine.
	Hosts []string
	// Folder holds the images of items. Those outside, by a link too, are not
	// shown. Without it there are no thumbnails.
	Folder string
	Heater Heater       // draws heat maps; may be nil
	Log    *slog.Logger // nil for none

	Queue      int           // texts, and images, that wait for the model: 1024
	MaxBatch   int           // texts given to the model at once: 128; of images at most 16
	Window     time.Duration // how long the first of a batch waits for others: 2 ms
	MaxBody    int64         // bytes of one request: 16 MiB
	MaxPending int64         // bytes of all requests being worked on: 256 MiB
	MaxPixels  int           // of one image, and of the images decoded for a batch: 32 million
	MaxK       int           // hits of one search: 1000
	Timeout    time.Duration // for reading a request, and for answering it: 30 s
}

// withDefaults fills in the limits that are 0.
func (o Options) withDefaults() (Options, error) {
	for _, l := range []struct {
		name  string
		value *int
		usual int
	}{{"Queue", &o.Queue, 1024}, {"MaxBatch", &o.MaxBatch, 128}, {"MaxPixels", &o.MaxPixels, 32_000_000}, {"MaxK", &o.MaxK, 1000}} {
		if *l.value < 0 {
			return o, errors.Errorf("server: %s is %d, want at least 1, or 0 for %d", l.name, *l.value, l.usual)
		}
		if *l.value == 0 {
			*l.value = l.usual
		}
	}
	for _, l := range []struct {
		name  string
		value *int64
		usual int64
	}{
		{"MaxBody", &o.MaxBody, 16 << 20}, {"MaxPending", &o.MaxPending, 256 << 20},
		{"Window", (*int64)(&o.Window), int64(2 * time.Millisecond)}, {"Timeout", (*int64)(&o.Timeout), int64(30 * time.Second)},
	} {
		if *l.value < 0 {
			return o, errors.Errorf("server: %s is %d, want more than 0, or 0 for %d", l.name, *l.value, l.usual)
		}
		if *l.value == 0 {
			*l.value = l.usual
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// imageBatch is how many images are given to the model at once: enough to keep
// all processors busy, and none waits for many others.
const imageBatch = 16

// A Server is an http.Handler over an index and the model that made it.
type Server struct {
	o      Options
	index  search.Index
	embed  search.Embedder
	dim    int
	folder *os.Root // nil without Options.Folder

	mux     *http.ServeMux
	metrics *metrics
	texts   *batcher[string]
	images  *batcher[picture]
	pending budget
	drawing chan struct{} // holds one for each picture being drawn

	stop    context.CancelFunc // ends the batchers
	mu      sync.Mutex
	closing bool
	active  sync.WaitGroup // requests
}

// New returns a server over index, whose vectors embed must have made. Both stay
// the caller's, who closes them after the server.
func New(index search.Index, embed search.Embedder, o Options) (*Server, error) {
	if index == nil || embed == nil {
		return nil, errors.New("server: want an index and an embedder")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	info, err := index.Info(context.Background())
	if err != nil {
		return nil, errors.Wrap(err, "server")
	}
	if info.Model != embed.Model() || info.Dim != embed.Dim() {
		return nil, errors.Errorf("server: the index holds vectors of %d numbers by model %.12s…, the model at hand, %.12s…, makes %d: serve the model the index was made with, or index anew",
			info.Dim, info.Model, embed.Model(), embed.Dim())
	}
	s := &Server{
		o: o, index: index, embed: embed, dim: info.Dim,
		pending: budget{left: o.MaxPending},
		drawing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	if o.Folder != "" {
		if s.folder, err = os.OpenRoot(o.Folder); err != nil {
			return nil, errors.Wrap(err, "server: folder of images")
		}
	}
	s.texts = newBatcher(o, s.embedTexts)
	few := o
	few.MaxBatch = min(o.MaxBatch, imageBatch)
	s.images = newBatcher(few, s.embedImages)
	s.metrics = s.newMetrics()
	s.mux = s.routes()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.texts.run(ctx)
	go s.images.run(ctx)
	return s, nil
}

// HTTPServer returns a server for addr whose time limits cut off clients that
// send or read slowly. To stop it without losing what was accepted, call its
// Shutdown, then s.Close.
func (s *Server) HTTPServer(addr string) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           s,
		ReadHeaderTimeout: min(5*time.Second, s.o.Timeout),
		ReadTimeout:       s.o.Timeout,
		WriteTimeout:      2 * s.o.Timeout, // counted from the end of the header
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
}

// Close refuses new requests with 503, lets those that were accepted end, and
// then stops the model. If ctx is done first they are broken off and its error
// is returned. The index is not closed.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.active.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = errors.Wrap(ctx.Err(), "server: requests were broken off")
	}
	s.stop()
	<-s.texts.stopped
	<-s.images.stopped
	if s.folder != nil {
		s.folder.Close()
	}
	return err
}

// enter counts a request that is answered, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.active.Add(1)
	return true
}
