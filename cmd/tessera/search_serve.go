package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/embed"
	"tessera/clip/search/server"
	"tessera/train/data"
)

// searchServeOptions are the flags of "search serve".
type searchServeOptions struct {
	searchPlace
	addr, tokenFile string
	grace           time.Duration
	server          server.Options
}

func newSearchServe() *cobra.Command {
	var o searchServeOptions
	cmd := &cobra.Command{
		Use:   "serve --model DIR --index FILE",
		Short: "Answer searches over HTTP, with a page to search by",
		Long: `Answer searches over HTTP: a page to search by typing or dropping a picture, and

  POST   /v1/search         the best hits for texts and images
  POST   /v1/items          add or replace items
  GET    /v1/items/ID       an item
  DELETE /v1/items/ID       remove an item
  POST   /v1/embeddings     vectors of texts and images, as OpenAI's
  GET    /healthz           200 while the index answers
  GET    /metrics           for Prometheus

as in

  curl localhost:8080/v1/search -H 'Content-Type: application/json' \
    -d '{"terms": [{"text": "a dog"}], "k": 5}'

It listens on this machine alone. Before it listens to others, give it a token:
requests must then bear it, in the header "Authorization: Bearer TOKEN". It is read
from --token-file or the environment, TESSERA_TOKEN. Images of items are shown if
they lie in the folder --images. An index in a file is written by this process alone
while it runs.

On an interrupt it answers the requests that it has, for at most --grace.`,
		Example: `  tessera search serve --model clip-b32 --index photos.tessera --images photos/`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.bind(f)
	o.bindModel(cmd)
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	f.StringVar(&o.server.Folder, "images", "", "folder of the images that may be shown")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the token (default the environment, TESSERA_TOKEN)")
	f.StringSliceVar(&o.server.Hosts, "host", nil, "names the server may be called by, besides localhost; separated by commas")
	f.IntVar(&o.server.Queue, "queue", 1024, "texts, and images, that may wait for the model")
	f.IntVar(&o.server.MaxBatch, "batch", 128, "texts the model is given at once; of images at most 16")
	f.DurationVar(&o.server.Window, "window", 2*time.Millisecond, "how long the first of a batch waits for others")
	f.Int64Var(&o.server.MaxBody, "max-body", 16<<20, "bytes of a request")
	f.IntVar(&o.server.MaxPixels, "max-pixels", 32_000_000, "pixels of an image")
	f.IntVar(&o.server.MaxK, "max-top", 1000, "hits of a search")
	f.DurationVar(&o.server.Timeout, "timeout", 30*time.Second, "time to read a request, and to answer it")
	f.DurationVar(&o.grace, "grace", 30*time.Second, "time for requests under way when the server is stopped")
	o.bindPrecision(f)
	return cmd
}

// check rejects limits that the server would take for its own.
func (o *searchServeOptions) check() error {
	for _, l := range []struct {
		flag  string
		value int64
	}{
		{"queue", int64(o.server.Queue)}, {"batch", int64(o.server.MaxBatch)}, {"max-body", o.server.MaxBody},
		{"max-pixels", int64(o.server.MaxPixels)}, {"max-top", int64(o.server.MaxK)},
	} {
		if l.value < 1 {
			return usagef("--%s is %d, want 1 or more", l.flag, l.value)
		}
	}
	for _, l := range []struct {
		flag  string
		value time.Duration
	}{{"window", o.server.Window}, {"timeout", o.server.Timeout}, {"grace", o.grace}} {
		if l.value <= 0 {
			return usagef("--%s is %v, want more than 0", l.flag, l.value)
		}
	}
	return nil
}

// token reads the token, "" if there is none.
func (o *searchServeOptions) token() (string, error) {
	if o.tokenFile == "" {
		return os.Getenv("TESSERA_TOKEN"), nil
	}
	text, err := os.ReadFile(o.tokenFile)
	if err != nil {
		return "", errors.Wrap(err, "--token-file")
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", errors.Errorf("--token-file %s is empty, want a token", o.tokenFile)
	}
	return token, nil
}

func (o *searchServeOptions) run(cmd *cobra.Command) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if o.server.Token, err = o.token(); err != nil {
		return err
	}
	log := logger(cmd)
	m, err := o.embedder(log)
	if err != nil {
		return err
	}
	defer m.Close()
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return errors.Wrap(err, "--addr")
	}
	defer l.Close() // a second time, unless something fails before it serves
	index, err := o.open(cmd.Context(), m, creating)
	if err != nil {
		return err
	}
	defer func() {
		if e := index.Close(); err == nil {
			err = e
		}
	}()
	colors, err := heatColors()
	if err != nil {
		return err
	}
	o.server.Log, o.server.Heater = log, &heater{m, &colors}
	s, err := server.New(index, m, o.server)
	if err != nil {
		return err
	}
	o.warn(l.Addr(), log)
	info, err := index.Info(cmd.Context())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "http://%s: %s items; interrupt to stop\n", visible(l.Addr()), thousands(info.Items)); err != nil {
		return errors.WithStack(err)
	}
	return serve(cmd.Context(), s, l, o.grace)
}

// warn tells what the one who starts the server may not have meant.
func (o *searchServeOptions) warn(addr net.Addr, log *slog.Logger) {
	if a, ok := addr.(*net.TCPAddr); ok && !a.IP.IsLoopback() && o.server.Token == "" {
		log.Warn("OPEN TO EVERYONE WHO REACHES THIS MACHINE: without a token (TESSERA_TOKEN or --token-file) anyone can read, add and delete items", "addr", addr.String())
	}
	if o.server.Folder == "" {
		log.Warn("no pictures are shown: name the folder that holds them with --images")
	}
}

// visible is an address as a browser takes it.
func visible(addr net.Addr) string {
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port)
	}
	return addr.String()
}

// serve answers on l until ctx is done, and then what is under way.
func serve(ctx context.Context, s *server.Server, l net.Listener, grace time.Duration) error {
	h := s.HTTPServer(l.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer stop()
	if e := h.Shutdown(last); err == nil && e != nil {
		h.Close()
		err = errors.Wrap(e, "requests were broken off")
	}
	if e := s.Close(last); err == nil {
		err = e
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return errors.WithStack(err)
}

// heater draws heat maps for the server.
type heater struct {
	*embed.Model
	colors *[256]color.RGBA
}

// Heat draws which parts of an image speak for a text, over the image as the
// model sees it.
func (h *heater) Heat(ctx context.Context, im image.Image, text string) (image.Image, error) {
	rows, err := h.Texts(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	seen, err := h.Input.Apply(data.FromStd(im))
	if err != nil {
		return nil, err
	}
	maps, err := h.HeatMaps(ctx, seen, rows)
	if err != nil {
		return nil, err
	}
	const side = 320
	large, err := data.Resize(seen, side, side, data.Bicubic)
	if err != nil {
		return nil, err
	}
	return overlay(large, maps[0].Cells, h.CLIP.Config.Vision.Grid(), h.colors), nil
}
