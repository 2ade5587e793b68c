// Package config reads, checks and writes the config.json of models, whose keys
// and presets each model's package knows.
package config

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// Read parses the file at path. Errors name it.
func Read[C any](path string, parse func(text []byte) (C, error)) (C, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var none C
		return none, errors.WithStack(err)
	}
	c, err := parse(text)
	return c, errors.Wrap(err, path)
}

// Write writes c as indented JSON to path, whole or not at all.
func Write(path string, c any) error {
	return safetensors.WriteAtomic(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return errors.WithStack(e.Encode(c))
	})
}

// Preset is a configuration with a name.
type Preset[C any] struct {
	Name   string
	Config func() C
}

// Presets are the named configurations of a model.
type Presets[C any] []Preset[C]

// Names lists the names in order.
func (ps Presets[C]) Names() []string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.Name
	}
	return names
}

// Find returns the named configuration. The error lists those there are.
func (ps Presets[C]) Find(name string) (C, error) {
	for _, p := range ps {
		if p.Name == name {
			return p.Config(), nil
		}
	}
	var none C
	return none, errors.Errorf("there is no preset %q, only %s", name, strings.Join(ps.Names(), ", "))
}
