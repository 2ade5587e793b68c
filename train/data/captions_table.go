package data

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// The columns of a table of captions, by any of these names.
var (
	imageColumns   = []string{"image", "path", "file", "filepath", "filename", "file_name", "image_path"}
	captionColumns = []string{"caption", "text", "title", "captions"}
)

// OpenCaptions reads a table of images and captions: .csv or .tsv with a line of
// names first, or .jsonl with an object a line. Images are in a column image,
// path, file, filepath, filename, file_name or image_path, relative to the
// table's folder, and captions in caption, text, title or captions, which in
// JSON may be a list. An image may have several lines. A line without either,
// and images that do not exist, are errors.
func OpenCaptions(path string) (*Captions, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	defer f.Close()
	var rows []tableRow
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".csv":
		rows, err = readTable(f, ',')
	case ".tsv":
		rows, err = readTable(f, '\t')
	case ".jsonl":
		rows, err = readJSONLines(f)
	default:
		return nil, errors.Errorf("data: %s: a table of captions ends with .csv, .tsv or .jsonl, not %q", path, ext)
	}
	if err != nil {
		return nil, errors.Wrapf(err, "data: %s", path)
	}
	var all collector
	for _, row := range rows {
		at := filepath.FromSlash(row.image)
		if !filepath.IsAbs(at) {
			at = filepath.Join(filepath.Dir(path), at)
		}
		for _, text := range row.texts {
			if err := all.add(captioned{name: at, path: at}, text); err != nil {
				return nil, errors.Wrapf(err, "data: %s: line %d", path, row.line)
			}
		}
	}
	c := &Captions{items: all.items}
	if len(c.items) == 0 {
		return nil, errors.Errorf("data: %s: there are no captions", path)
	}
	return c, errors.Wrapf(c.missing(), "data: %s", path)
}

// tableRow is a line of a table.
type tableRow struct {
	line  int // from 1
	image string
	texts []string
}

// readTable reads a table whose first line names the columns.
func readTable(r io.Reader, comma rune) ([]tableRow, error) {
	in := csv.NewReader(skipMark(r))
	in.Comma = comma
	in.LazyQuotes = comma == '\t' // a quote there need not begin a quotation
	in.ReuseRecord = true
	head, err := in.Read()
	if err == io.EOF {
		return nil, errors.New("the file is empty, want a line of column names first")
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(head))
	for i, name := range head {
		names[i] = strings.ToLower(strings.TrimSpace(name))
	}
	image, err := column(names, imageColumns)
	if err != nil {
		return nil, err
	}
	text, err := column(names, captionColumns)
	if err != nil {
		return nil, err
	}
	var rows []tableRow
	for {
		record, err := in.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		row := tableRow{line, strings.TrimSpace(record[image]), []string{record[text]}}
		if row.image == "" {
			return nil, errors.Errorf("line %d: the path of the image is empty", line)
		}
		rows = append(rows, row)
	}
}

// column finds the one column of a table that has any of the wanted names.
func column(names, wanted []string) (int, error) {
	at := -1
	for i, name := range names {
		if !slices.Contains(wanted, name) {
			continue
		}
		if at >= 0 {
			return 0, errors.Errorf("columns %q and %q both fit, want one of %s", names[at], name, strings.Join(wanted, ", "))
		}
		at = i
	}
	if at < 0 {
		return 0, errors.Errorf("the columns are %q, want one of %s", names, strings.Join(wanted, ", "))
	}
	return at, nil
}

// readJSONLines reads an object from every line that is not blank.
func readJSONLines(r io.Reader) ([]tableRow, error) {
	var rows []tableRow
	s := bufio.NewScanner(skipMark(r))
	s.Buffer(nil, 16*maxText)
	for line := 1; s.Scan(); line++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		row, err := jsonRow(s.Bytes())
		if err != nil {
			return nil, errors.WithMessagef(err, "line %d", line)
		}
		row.line = line
		rows = append(rows, row)
	}
	return rows, s.Err()
}

func jsonRow(line []byte) (row tableRow, err error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return row, err
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	image, err := column(names, imageColumns)
	if err != nil {
		return row, err
	}
	text, err := column(names, captionColumns)
	if err != nil {
		return row, err
	}
	if err := json.Unmarshal(object[names[image]], &row.image); err != nil {
		return row, errors.WithMessagef(err, "key %q", names[image])
	}
	if row.image = strings.TrimSpace(row.image); row.image == "" {
		return row, errors.New("the path of the image is empty")
	}
	row.texts, err = stringOrList(object[names[text]])
	return row, err
}

// skipMark leaves out the byte order mark that some programs begin a file with.
func skipMark(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(len(bom)); string(mark) == bom {
		in.Discard(len(bom))
	}
	return in
}
