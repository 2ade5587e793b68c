package data

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
)

// OpenCOCO reads the captions of COCO (arXiv:1504.00325) from a file such as
// annotations/captions_val2017.json. Its images lie in the same folder, in
// images below it, or, as COCO is published, in a folder beside the file's own:
// val2017 or images. Images that have no captions do not count; an annotation
// without a caption or of no image is an error.
func OpenCOCO(path string) (*Captions, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	items, err := parseCOCO(text)
	if err != nil {
		return nil, errors.Wrapf(err, "data: %s", path)
	}
	dir := filepath.Dir(path)
	split := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(path), ".json"), "captions_")
	places := []string{dir, filepath.Join(dir, "images"), filepath.Join(dir, "..", split), filepath.Join(dir, "..", "images")}
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, filepath.FromSlash(items[0].name))); err != nil {
			continue
		}
		for i := range items {
			x := &items[i]
			x.path = filepath.Join(place, filepath.FromSlash(x.name))
			x.name = x.path
		}
		c := &Captions{items: items}
		return c, errors.Wrapf(c.missing(), "data: %s", path)
	}
	return nil, errors.Errorf("data: %s: image %s is in none of %s", path, items[0].name, strings.Join(places, ", "))
}

// parseCOCO gives images by their file names, in the order of the first of
// their captions.
func parseCOCO(text []byte) ([]captioned, error) {
	var file struct {
		Images []struct {
			ID       json.RawMessage `json:"id"` // mostly a number
			FileName string          `json:"file_name"`
		} `json:"images"`
		Annotations []struct {
			ImageID json.RawMessage `json:"image_id"`
			Caption *string         `json:"caption"`
		} `json:"annotations"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	names := make(map[string]string, len(file.Images))
	used := make(map[string]bool, len(file.Images))
	for i, x := range file.Images {
		id := string(x.ID)
		if id == "" || x.FileName == "" {
			return nil, errors.Errorf("images[%d] lacks id or file_name", i)
		}
		if names[id] != "" || used[x.FileName] {
			return nil, errors.Errorf("images[%d]: id %s or file %q occurs twice", i, id, x.FileName)
		}
		names[id], used[x.FileName] = x.FileName, true
	}
	var all collector
	for i, a := range file.Annotations {
		name, ok := names[string(a.ImageID)]
		switch {
		case !ok:
			return nil, errors.Errorf("annotations[%d] is of image %s, which is not listed", i, a.ImageID)
		case a.Caption == nil:
			return nil, errors.Errorf("annotations[%d] has no caption: want a file of captions, not of boxes", i)
		}
		if err := all.add(captioned{name: name}, *a.Caption); err != nil {
			return nil, errors.WithMessagef(err, "annotations[%d]", i)
		}
	}
	if len(all.items) == 0 {
		return nil, errors.New("there are no captions")
	}
	return all.items, nil
}
