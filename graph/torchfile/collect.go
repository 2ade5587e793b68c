package torchfile

import (
	"fmt"
	"io"
	"slices"

	"github.com/pkg/errors"
)

// holders are the keys under which trainers keep the weights.
var holders = []string{"state_dict", "model_state_dict", "model"}

// collect finds the tensors below root, which took steps instructions.
func (a archive) collect(root any, steps int) (map[string]*stored, error) {
	if d, ok := root.(*dict); ok {
		for _, key := range holders {
			if inner, ok := d.get(key).(*dict); ok {
				root = inner
				break
			}
		}
	}
	c := collector{archive: a, budget: steps, found: map[string]*stored{}}
	if err := c.walk("", root, 0); err != nil {
		return nil, err
	}
	if len(c.found) == 0 {
		return nil, errors.New("there are no tensors in it")
	}
	return c.found, nil
}

// get is the value of a key, the last where it is repeated.
func (d *dict) get(key string) (v any) {
	for i, k := range d.keys {
		if k == key {
			v = d.values[i]
		}
	}
	return v
}

// collector walks the values of a pickle.
type collector struct {
	archive
	budget int // values: what few instructions share can be without end
	found  map[string]*stored
}

// maxDepth bounds nesting: a value may hold itself.
const maxDepth = 64

func (c *collector) walk(name string, v any, depth int) error {
	if c.budget--; c.budget < 0 || depth > maxDepth {
		return errors.Errorf("%.80q: values are nested too deeply", name)
	}
	sub := func(key any) string {
		if name == "" {
			return sprint(key)
		}
		return name + "." + sprint(key)
	}
	switch v := v.(type) {
	case *tensor:
		return c.add(name, v)
	case *object:
		return c.walk(name, v.attributes, depth+1)
	case *dict:
		for i, key := range v.keys {
			if err := c.walk(sub(key), v.values[i], depth+1); err != nil {
				return err
			}
		}
	case *list:
		return c.walkAll(sub, v.items, depth)
	case tuple:
		return c.walkAll(sub, v, depth)
	}
	return nil
}

func (c *collector) walkAll(sub func(any) string, items []any, depth int) error {
	for i, v := range items {
		if err := c.walk(sub(i), v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// add notes a tensor, whose elements must be within its storage and that within
// the file.
func (c *collector) add(name string, t *tensor) error {
	s, err := c.stored(t)
	if err != nil {
		return errors.Wrapf(err, "tensor %.80q", name)
	}
	if c.found[name] != nil {
		return errors.Errorf("tensor %.80q is there twice", name)
	}
	c.found[name] = s
	return nil
}

func (c *collector) stored(t *tensor) (*stored, error) {
	extent, err := extent(t)
	if err != nil {
		return nil, err
	}
	s := &stored{dtype: t.storage.dtype, shape: t.shape, stride: t.stride, offset: t.offset, extent: extent}
	e := c.entries[c.prefix+"data/"+t.storage.key]
	if e == nil {
		return nil, errors.Errorf("no entry %q", c.prefix+"data/"+t.storage.key)
	}
	data, err := c.section(e)
	if err != nil {
		return nil, err
	}
	if size := t.storage.dtype.Bits() / 8; int64(t.storage.size) > data.Size()/int64(size) {
		return nil, errors.Errorf("entry %q has %d bytes, want %d elements of %d", e.Name, data.Size(), t.storage.size, size)
	}
	s.data = io.ReaderAt(data)
	return s, nil
}

// extent is the number of elements from a tensor's first to its last in memory,
// which must be within its storage. It may not have more than are stored.
func extent(t *tensor) (int, error) {
	size := t.storage.size
	n, last := 1, 0 // elements, and the index of the last
	if slices.Contains(t.shape, 0) {
		return 0, nil
	}
	for i, d := range t.shape {
		if n > size/d || (d > 1 && t.stride[i] > (size-last)/(d-1)) {
			return 0, errors.Errorf("shape %v of strides %v for %d stored elements", t.shape, t.stride, size)
		}
		n *= d
		last += (d - 1) * t.stride[i]
	}
	if last >= size || t.offset > size-1-last {
		return 0, errors.Errorf("%d elements from %d on of %d stored", last+1, t.offset, size)
	}
	return last + 1, nil
}

// sprint shows a key or a value in messages.
func sprint(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int, bool, float64, nil:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%T", v) // it may hold itself
}
