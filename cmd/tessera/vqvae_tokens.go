package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/pkg/errors"

	"tessera/graph/npz"
	"tessera/graph/safetensors"
)

// tokenGrid is the tokens of one image.
type tokenGrid struct {
	Name   string  `json:"name,omitempty"`
	Tokens [][]int `json:"tokens"` // rows from the top
}

// newTokenGrid cuts the tokens of an image into rows.
func newTokenGrid(name string, ids []int, side int) tokenGrid {
	g := tokenGrid{Name: name}
	for i := 0; i < len(ids); i += side {
		g.Tokens = append(g.Tokens, ids[i:i+side])
	}
	return g
}

// flat returns the tokens row by row, of which there must be side·side.
func (g tokenGrid) flat(side int) ([]int, error) {
	if len(g.Tokens) != side {
		return nil, errors.Errorf("%d rows of tokens, the model has %d", len(g.Tokens), side)
	}
	var ids []int
	for i, row := range g.Tokens {
		if len(row) != side {
			return nil, errors.Errorf("row %d has %d tokens, the model %d", i, len(row), side)
		}
		ids = append(ids, row...)
	}
	return ids, nil
}

// writeTokens writes grids of equal sides to a .npy file, images by rows by
// columns, or else as JSON lines; to w where path is empty.
func writeTokens(w io.Writer, path string, grids []tokenGrid, side int) error {
	if filepath.Ext(path) == ".npy" {
		data := make([]int32, 0, len(grids)*side*side)
		for _, g := range grids {
			for _, row := range g.Tokens {
				for _, id := range row {
					data = append(data, int32(id))
				}
			}
		}
		return npz.WriteInts(path, []int{len(grids), side, side}, data)
	}
	lines := func(w io.Writer) error {
		buf := bufio.NewWriter(w)
		e := json.NewEncoder(buf)
		e.SetEscapeHTML(false)
		for _, g := range grids {
			if err := e.Encode(g); err != nil {
				return errors.WithStack(err)
			}
		}
		return errors.WithStack(buf.Flush())
	}
	if path == "" {
		return lines(w)
	}
	return safetensors.WriteAtomic(path, lines)
}

// readTokens reads what writeTokens wrote.
func readTokens(path string) ([]tokenGrid, error) {
	if filepath.Ext(path) == ".npy" {
		shape, values, err := npz.ReadArray(path)
		if err != nil {
			return nil, err
		}
		if len(shape) == 2 { // one image
			shape = append([]int{1}, shape...)
		}
		if len(shape) != 3 {
			return nil, errors.Errorf("%s: shape %v, want images by rows by columns", path, shape)
		}
		return gridsOf(path, shape, values)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	grids, err := parseTokens(text)
	return grids, errors.Wrap(err, path)
}

// gridsOf makes grids of an array (images, rows, columns).
func gridsOf(path string, shape []int, values []float32) ([]tokenGrid, error) {
	grids := []tokenGrid{}
	for n := 0; len(values) > 0; n++ {
		var g tokenGrid
		for range shape[1] {
			row := make([]int, shape[2])
			for i, v := range values[:shape[2]] {
				row[i] = int(v)
				if float32(row[i]) != v {
					return nil, errors.Errorf("%s: image %d has the token %v, which is no whole number", path, n, v)
				}
			}
			g.Tokens, values = append(g.Tokens, row), values[shape[2]:]
		}
		grids = append(grids, g)
	}
	return grids, nil
}

// parseTokens reads JSON lines; empty ones are skipped.
func parseTokens(text []byte) ([]tokenGrid, error) {
	grids := []tokenGrid{}
	for n := 1; len(text) > 0; n++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var g tokenGrid
		if err := json.Unmarshal(line, &g); err != nil {
			return nil, errors.Wrapf(err, "line %d", n)
		}
		if len(g.Tokens) == 0 {
			return nil, errors.Errorf("line %d has no tokens", n)
		}
		grids = append(grids, g)
	}
	return grids, nil
}
