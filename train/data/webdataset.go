package data

import (
	"archive/tar"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// OpenWebDataset lists the samples of tar files (github.com/webdataset), given
// as a pattern with braces, "shards/{00000..00012}.tar", or as a folder of
// them. Members of a sample follow one another and share their path up to the
// first dot of the file name: an image and a .txt of captions, one a line, or a
// .json with a key caption. Other members do not count. Samples without an
// image or captions, and damaged or compressed files, are errors. Images are
// read from their place in the file when they are asked for.
func OpenWebDataset(pattern string) (*Captions, error) {
	shards, err := shardPaths(pattern)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	c := &Captions{}
	for _, shard := range shards {
		items, err := openShard(shard)
		if err != nil {
			return nil, errors.Wrapf(err, "data: %s", shard)
		}
		c.items = append(c.items, items...)
	}
	return c, nil
}

// shardPaths lists the files of a pattern or folder.
func shardPaths(pattern string) ([]string, error) {
	if info, err := os.Stat(pattern); err == nil && info.IsDir() {
		entries, err := os.ReadDir(pattern)
		if err != nil {
			return nil, err
		}
		var shards []string
		for _, e := range entries {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && strings.EqualFold(filepath.Ext(e.Name()), ".tar") {
				shards = append(shards, filepath.Join(pattern, e.Name()))
			}
		}
		if len(shards) == 0 {
			return nil, errors.Errorf("%s holds no .tar files", pattern)
		}
		return shards, nil
	}
	return ExpandBraces(pattern)
}

func openShard(shard string) ([]captioned, error) {
	f, err := os.Open(shard)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	items, err := indexShard(f)
	for i := range items {
		items[i].path = shard
		items[i].name = shard + ":" + items[i].name
	}
	return items, err
}

// sample is what members of one key have told so far.
type sample struct {
	key         string
	image       captioned
	txt, object []string // captions by either way
}

// indexShard lists the samples of a tar file without reading its images.
func indexShard(f io.ReadSeeker) ([]captioned, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var items []captioned
	seen := map[string]bool{}
	var s sample
	finish := func() error {
		if s.key == "" {
			return nil
		}
		x, err := s.finish()
		if err != nil {
			return err
		}
		if seen[s.key] {
			return errors.Errorf("sample %s occurs twice", s.key)
		}
		seen[s.key] = true
		items = append(items, x)
		return nil
	}
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, errors.Wrap(err, "not a tar file, or a damaged or compressed one")
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if h.Typeflag != tar.TypeReg || sparse(h) {
			return nil, errors.Errorf("member %s is not a plain file", h.Name)
		}
		at, err := f.Seek(0, io.SeekCurrent) // members are not buffered
		if err != nil {
			return nil, err
		}
		if h.Size > end-at {
			return nil, errors.Errorf("member %s of %d bytes ends beyond the file", h.Name, h.Size)
		}
		key, ext := sampleKey(h.Name)
		if key == "" {
			continue
		}
		if key != s.key {
			if err := finish(); err != nil {
				return nil, err
			}
			s = sample{key: key}
		}
		if err := s.add(h, ext, at, archive); err != nil {
			return nil, errors.WithMessagef(err, "member %s", h.Name)
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, errors.New("there are no samples")
	}
	return items, nil
}

// sparse tells whether the content is stored with holes.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// sampleKey parts the name of a member at the first dot of its last element.
// Hidden files have no key.
func sampleKey(name string) (key, ext string) {
	dir, base := path.Split(name)
	stem, ext, _ := strings.Cut(base, ".")
	if stem == "" {
		return "", ""
	}
	return dir + stem, strings.ToLower(ext)
}

// add takes in a member.
func (s *sample) add(h *tar.Header, ext string, at int64, content io.Reader) error {
	switch {
	case !strings.Contains(ext, ".") && isImage("."+ext): // 1.seg.png is no image of 1
		if s.image.name != "" {
			return errors.Errorf("sample %s has another image, %s", s.key, s.image.name)
		}
		if h.Size == 0 {
			return errors.New("the image is empty")
		}
		s.image = captioned{name: h.Name, at: at, size: h.Size}
		return nil
	case ext != "txt" && ext != "json":
		return nil
	case h.Size > maxText:
		return errors.Errorf("%d bytes are too many for the captions of one image", h.Size)
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if ext == "txt" {
		s.txt = append(s.txt, textLines(text)...)
		return nil
	}
	var object struct {
		Caption json.RawMessage `json:"caption"`
	}
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	if len(object.Caption) == 0 || string(object.Caption) == "null" {
		return nil
	}
	s.object, err = stringOrList(object.Caption)
	return err
}

// finish returns the image with its captions, those of a text file if there are
// such.
func (s *sample) finish() (captioned, error) {
	if s.image.name == "" {
		return captioned{}, errors.Errorf("sample %s has no image", s.key)
	}
	texts := s.txt
	if len(texts) == 0 {
		texts = s.object
	}
	if len(texts) == 0 {
		return captioned{}, errors.Errorf("sample %s has no caption, want a .txt, or a .json with the key caption", s.key)
	}
	var c collector
	for _, text := range slices.Clone(texts) {
		if err := c.add(s.image, text); err != nil {
			return captioned{}, err
		}
	}
	return c.items[0], nil
}
