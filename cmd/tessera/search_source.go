package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pkg/errors"
)

// Keys of metadata that tell which file an item was made of.
const (
	metaRoot = "file_root"   // what was indexed: a folder, or a table of captions
	metaSize = "file_size"   // bytes
	metaTime = "file_time"   // of the last change
	metaHash = "file_sha256" // of the content
)

// source is a file to index.
type source struct {
	path  string // absolute
	texts []string
	meta  map[string]any // beside the keys above
	size  int64
	time  string
}

// sources are what one argument of "search index" stands for.
type sources struct {
	root  string
	files []source
	// Faults are files that cannot be looked at. What else is missing may then
	// be there all the same.
	faults int
}

// openSources lists the files of a folder, with the texts and metadata beside
// them, or of a table of captions or another data set of pairs.
func openSources(arg string, log *slog.Logger) (s sources, err error) {
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		return folderSources(arg, log)
	}
	spec := clipSpec{kind: "captions", arg: arg}
	kind, _, found := strings.Cut(arg, ":")
	switch ext := strings.ToLower(filepath.Ext(arg)); {
	case found && len(kind) > 1 && !strings.ContainsAny(kind, `/\`):
		if spec, err = parseClipSpec(arg); err != nil {
			return s, err
		}
		if !spec.pairs() {
			return s, usagef("%s: want a folder, a table of captions (.csv, .tsv, .jsonl), or one of pairs:DIR, coco:FILE, emoji:DIR[:STYLE]", arg)
		}
	case ext != ".csv" && ext != ".tsv" && ext != ".jsonl":
		if _, err := os.Stat(arg); err != nil {
			return s, errors.WithStack(err)
		}
		return s, usagef("%s is no folder and no table of captions (.csv, .tsv, .jsonl): add one image with tessera search add", arg)
	}
	all, one, err := spec.captions()
	if err != nil {
		return s, err
	}
	if one != nil { // the style that was named
		all = one
	}
	if spec.arg, err = filepath.Abs(spec.arg); err != nil {
		return s, errors.WithStack(err)
	}
	s.root = spec.kind + ":" + spec.arg
	if spec.style != "" {
		s.root += ":" + spec.style
	}
	for i := range all.Len() {
		path := all.Path(i)
		if path == "" {
			return s, usagef("%s: images in archives cannot be shown: unpack them", arg)
		}
		s.add(path, all.Captions(i), nil, log)
	}
	return s, nil
}

// folderSources lists the images of a folder at any depth. Lines of cat.txt are
// captions of cat.jpg, and an object in cat.json is its metadata.
func folderSources(dir string, log *slog.Logger) (s sources, err error) {
	if s.root, err = filepath.Abs(dir); err != nil {
		return s, errors.WithStack(err)
	}
	files, failed := imageFiles([]string{s.root}, log)
	s.faults = failed
	for _, path := range files {
		stem := strings.TrimSuffix(path, filepath.Ext(path))
		text, err := readBeside(stem + ".txt")
		var texts []string
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" {
				texts = append(texts, line)
			}
		}
		var meta map[string]any
		if err == nil {
			var b []byte
			if b, err = readBeside(stem + ".json"); b != nil {
				meta, err = readMeta(b)
				err = errors.WithMessage(err, stem+".json")
			}
		}
		if err != nil {
			s.fault(path, err, log)
			continue
		}
		s.add(path, texts, meta, log)
	}
	return s, nil
}

func (s *sources) fault(path string, err error, log *slog.Logger) {
	s.faults++
	log.Warn("skipped", "image", path, "error", err.Error())
}

func (s *sources) add(path string, texts []string, meta map[string]any, log *slog.Logger) {
	path, err := filepath.Abs(path)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err != nil {
		s.fault(path, err, log)
		return
	}
	s.files = append(s.files, source{path, texts, meta, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano)})
}

// readBeside reads a file of at most 1 MiB, nil if there is none.
func readBeside(path string) ([]byte, error) {
	const most = 1 << 20
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.WithStack(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = errors.Errorf("%s is longer than %d bytes: not about one image", path, most)
	}
	return b, errors.WithStack(err)
}

// readMeta reads metadata, without keys that are not the user's.
func readMeta(b []byte) (map[string]any, error) {
	var meta map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&meta); err != nil {
		return nil, errors.Wrap(err, "want an object of metadata")
	}
	if d.More() {
		return nil, errors.New("want one object of metadata, there is more")
	}
	for _, key := range []string{metaRoot, metaSize, metaTime, metaHash} {
		if _, ok := meta[key]; ok {
			return nil, errors.Errorf("the key %q is set by the index", key)
		}
	}
	return meta, nil
}

// hashFile is the SHA-256 of a file in hexadecimal.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", errors.WithStack(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", errors.WithStack(err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
