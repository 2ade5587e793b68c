package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
	"golang.org/x/image/draw"

	"tessera/clip/search"
)

// A Heater draws which parts of an image speak for a text.
type Heater interface {
	Heat(ctx context.Context, im image.Image, text string) (image.Image, error)
}

const (
	thumbnailSide = 320      // pixels, the longer side
	maxImageFile  = 64 << 20 // bytes
)

// readImage reads a file of the folder, named by its path in it or from the root
// of the machine. The folder's *os.Root follows no link out of it.
func (s *Server) readImage(path string) ([]byte, error) {
	if s.folder == nil {
		return nil, fs.ErrNotExist
	}
	if filepath.IsAbs(path) {
		folder, err := filepath.Abs(s.o.Folder)
		if err != nil {
			return nil, err
		}
		if path, err = filepath.Rel(folder, path); err != nil {
			return nil, err
		}
	}
	info, err := s.folder.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxImageFile {
		return nil, errors.Errorf("%s is no file of at most %d bytes", path, maxImageFile)
	}
	f, err := s.folder.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxImageFile))
}

// imageOf reads the file of an item's image. Only what an item names is shown.
func (s *Server) imageOf(item search.Item) (picture, error) {
	none := refuse(http.StatusNotFound, "no_image", "the image of item %q cannot be shown", item.ID)
	if item.Image == "" {
		return picture{}, none
	}
	file, err := s.readImage(item.Image)
	if err != nil {
		s.o.Log.Debug("no image", "item", item.ID, "error", err.Error())
		return picture{}, none
	}
	p, err := s.readPicture(file, "the image")
	if err != nil {
		s.o.Log.Debug("no image", "item", item.ID, "error", err.Error())
		return picture{}, none
	}
	return p, nil
}

// draw works on the image of the item in the path. It waits for its turn, for a
// decoded image takes much memory.
func (s *Server) draw(r *http.Request, work func(picture) error) error {
	item, err := s.itemOf(r)
	if err != nil {
		return err
	}
	select {
	case s.drawing <- struct{}{}:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	defer func() { <-s.drawing }()
	p, err := s.imageOf(item)
	if err != nil {
		return err
	}
	return work(p)
}

// thumbnail answers GET /v1/thumbnail/{id} with a PNG if the image has
// transparent pixels, and else a JPEG.
func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request) error {
	return s.draw(r, func(p picture) error {
		sum := sha256.Sum256(p.file)
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		im, err := s.decodeShown(p)
		if err != nil {
			return err
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, no-cache") // kept, and asked about each time
		return writeImage(w, shrink(im, thumbnailSide))
	})
}

// decodeShown keeps transparency, which the model does not see.
func (s *Server) decodeShown(p picture) (image.Image, error) {
	if bytes.HasPrefix(p.file, []byte("\x89PNG")) {
		if im, err := png.Decode(bytes.NewReader(p.file)); err == nil {
			return im, nil
		}
	}
	return s.decode(p)
}

// shrink scales an image down until no side is longer.
func shrink(im image.Image, side int) image.Image {
	w, h := im.Bounds().Dx(), im.Bounds().Dy()
	if w <= side && h <= side {
		return im
	}
	scale := float64(side) / float64(max(w, h))
	out := image.NewNRGBA(image.Rect(0, 0, max(1, int(float64(w)*scale+0.5)), max(1, int(float64(h)*scale+0.5))))
	draw.CatmullRom.Scale(out, out.Bounds(), im, im.Bounds(), draw.Src, nil)
	return out
}

func writeImage(w http.ResponseWriter, im image.Image) error {
	var b bytes.Buffer
	kind, err := "image/png", error(nil)
	if o, ok := im.(interface{ Opaque() bool }); ok && o.Opaque() {
		kind, err = "image/jpeg", jpeg.Encode(&b, im, &jpeg.Options{Quality: 85})
	} else {
		err = png.Encode(&b, im)
	}
	if err != nil {
		return errors.WithStack(err)
	}
	w.Header().Set("Content-Type", kind)
	w.Write(b.Bytes()) // the client may be gone
	return nil
}

// heatmap answers GET /v1/heatmap/{id}?text=….
func (s *Server) heatmap(w http.ResponseWriter, r *http.Request) error {
	text := strings.TrimSpace(r.URL.Query().Get("text"))
	switch {
	case s.o.Heater == nil:
		return refuse(http.StatusNotFound, "no_heatmaps", "this server draws no heat maps")
	case text == "":
		return badRequest("text is missing: what should the image speak for?")
	}
	return s.draw(r, func(p picture) error {
		im, err := s.decode(p)
		if err != nil {
			return err
		}
		heat, err := s.o.Heater.Heat(r.Context(), im, text)
		if err != nil {
			return errors.Wrap(err, "heat map")
		}
		w.Header().Set("Cache-Control", "no-store")
		return writeImage(w, heat)
	})
}
