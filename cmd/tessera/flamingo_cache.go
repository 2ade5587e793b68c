package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// patchKey tells images apart by their pixels, as a tower is shown them.
type patchKey [4]int64

// patchCache keeps what one tower makes of images in a file.
type patchCache struct {
	path  string // "" keeps nothing
	size  int    // of an image's patches
	known map[patchKey][]float32
	fresh int // of known, not yet in the file
}

// key is that of an image; if nothing is kept, the same for all.
func (c *patchCache) key(pixels []float32) (k patchKey) {
	if c.path == "" {
		return k
	}
	b := make([]byte, 4*len(pixels))
	for i, v := range pixels {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	sum := sha256.Sum256(b)
	for i := range k {
		k[i] = int64(binary.LittleEndian.Uint64(sum[8*i:]))
	}
	return k
}

// openPatchCache opens the cache of a tower with the given weights in dir; no
// dir means that nothing is kept.
func openPatchCache(dir string, weights *graph.Params, size int) (*patchCache, error) {
	c := &patchCache{size: size, known: map[patchKey][]float32{}}
	if dir == "" {
		return c, nil
	}
	h := sha256.New()
	fmt.Fprintln(h, size) // by what is shown
	for p := range weights.All() {
		h.Write([]byte(p.Name))
		if err := binary.Write(h, binary.LittleEndian, p.Float32s()); err != nil {
			return nil, errors.WithStack(err)
		}
	}
	c.path = filepath.Join(dir, "patches-"+hex.EncodeToString(h.Sum(nil)[:8])+".safetensors")
	f, err := safetensors.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys, err := f.Int64("keys")
	if err != nil {
		return nil, err
	}
	patches, err := f.Float32("patches")
	if err != nil {
		return nil, err
	}
	n := len(keys) / 4
	if len(keys) != 4*n || len(patches) != n*size {
		return nil, errors.Errorf("%s: %d keys and %d values are not a cache of images of %d: remove the file", c.path, len(keys), len(patches), size)
	}
	for i := range n {
		c.known[patchKey(keys[4*i:4*i+4])] = patches[i*size : (i+1)*size]
	}
	return c, nil
}

func (c *patchCache) add(k patchKey, patches []float32) {
	if c.path != "" {
		c.known[k] = patches
		c.fresh++
	}
}

// save brings the cache to disk, whole or not at all.
func (c *patchCache) save() error {
	if c.fresh == 0 {
		return nil
	}
	all := make([]patchKey, 0, len(c.known))
	for k := range c.known {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b patchKey) int { return slices.Compare(a[:], b[:]) })
	keys, patches := make([]int64, 0, 4*len(all)), make([]float32, 0, c.size*len(all))
	for _, k := range all {
		keys, patches = append(keys, k[:]...), append(patches, c.known[k]...)
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o777); err != nil {
		return errors.WithStack(err)
	}
	c.fresh = 0
	return safetensors.Write(c.path, []safetensors.Tensor{
		{Name: "keys", Shape: []int{len(all), 4}, Data: keys},
		{Name: "patches", Shape: []int{len(all), c.size}, Data: patches},
	}, nil)
}
