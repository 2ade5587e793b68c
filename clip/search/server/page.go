package server

import (
	"embed"
	"net/http"
	"path"

	"github.com/pkg/errors"
)

//go:embed page
var page embed.FS

// pageFile sends a part of the page, which asks for nothing from elsewhere.
func pageFile(name, kind string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		b, err := page.ReadFile(path.Join("page", name))
		if err != nil {
			return errors.WithStack(err)
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(b)
		return nil
	}
}
