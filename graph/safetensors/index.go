package safetensors

import (
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/pkg/errors"
)

// openShards adds the tensors of the files that the index at path names. Index
// and files must agree on which holds what.
func (f *File) openShards(path string) error {
	shardOf, err := readIndex(path)
	if err != nil {
		return err
	}
	inIndex := func(shard string) string { return filepath.Join(filepath.Dir(path), shard) }
	for _, shard := range slices.Compact(slices.Sorted(maps.Values(shardOf))) {
		if err := f.open(inIndex(shard)); err != nil {
			return errors.Wrap(err, path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shardOf)) {
		if want := inIndex(shardOf[name]); f.tensors[name].Path != want {
			return errors.Errorf("%s: tensor %q is not in %s", path, name, want)
		}
	}
	for _, name := range f.Names() {
		if _, ok := shardOf[name]; !ok {
			return errors.Errorf("%s: tensor %q of %s is not in the index", path, name, f.tensors[name].Path)
		}
	}
	return nil
}

// readIndex reads which file holds each tensor.
func readIndex(path string) (shardOf map[string]string, err error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > maxHeader {
		return nil, errors.Errorf("%s: index of %d bytes exceeds the limit of %d", path, size, maxHeader)
	}
	text, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return nil, err
	}
	shardOf, err = parseIndex(text)
	return shardOf, errors.Wrap(err, path)
}

// parseIndex reads weight_map and passes over the rest. The files it names
// must lie in the folder of the index, or below.
func parseIndex(text []byte) (shardOf map[string]string, err error) {
	err = parse(text, func(d decoder, key string) error {
		if key != "weight_map" {
			return d.skip()
		}
		shardOf = map[string]string{}
		return d.object(func(name string) error {
			shard, err := d.str()
			if err == nil && !filepath.IsLocal(shard) {
				err = errors.Errorf("path %q leaves the folder", shard)
			}
			shardOf[name] = filepath.Clean(shard)
			return err
		})
	})
	if err == nil && shardOf == nil {
		err = errors.New("no weight_map")
	}
	return shardOf, err
}
