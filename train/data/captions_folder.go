package data

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
)

// OpenCaptionFolder lists the images of a folder, at any depth, beside each of
// which there is a text file of the same name: cat.jpg and cat.txt. Every line
// that is not blank is a caption. An image without text, or a text without
// image, is an error. Names that begin with a dot do not count.
func OpenCaptionFolder(dir string) (*Captions, error) {
	images, texts := map[string]string{}, map[string]string{} // by path without extension
	var order []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		}
		ext := filepath.Ext(path)
		stem := strings.TrimSuffix(path, ext)
		switch {
		case isImage(path):
			if other, ok := images[stem]; ok {
				return errors.Errorf("%s and %s would share one text", other, path)
			}
			images[stem] = path
			order = append(order, stem)
		case strings.EqualFold(ext, ".txt"):
			texts[stem] = path
		}
		return nil
	})
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	if len(order) == 0 {
		return nil, errors.Errorf("data: %s holds no images", dir)
	}
	var all collector
	for _, stem := range order {
		path, ok := texts[stem]
		if !ok {
			return nil, errors.Errorf("data: %s has no text beside it, want %s.txt", images[stem], stem)
		}
		delete(texts, stem)
		lines, err := readTextFile(path)
		if err != nil {
			return nil, errors.Wrap(err, "data")
		}
		for _, text := range lines {
			if err := all.add(captioned{name: images[stem], path: images[stem]}, text); err != nil {
				return nil, errors.Wrapf(err, "data: %s", path)
			}
		}
	}
	for _, path := range texts {
		return nil, errors.Errorf("data: %s has no image beside it", path)
	}
	return &Captions{items: all.items}, nil
}

// readTextFile reads the captions of a text file, which must have one.
func readTextFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, errors.Wrap(err, path)
	}
	if len(text) > maxText {
		return nil, errors.Errorf("%s is longer than %d bytes: not the captions of one image", path, maxText)
	}
	lines := textLines(text)
	if len(lines) == 0 {
		return nil, errors.Errorf("%s holds no caption", path)
	}
	return lines, nil
}
