package gpt2

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// publishedName turns the path of a layer into the published name of its
// parameter. Queries, keys and values share one published tensor, c_attn, and
// are told apart by a further element.
func publishedName(path string) string { return names.Replace(path) }

var names = strings.NewReplacer(
	"layer_norm1", "ln_1",
	"layer_norm2", "ln_2",
	"self_attn.q_proj", "attn.c_attn.query",
	"self_attn.k_proj", "attn.c_attn.key",
	"self_attn.v_proj", "attn.c_attn.value",
	"self_attn.out_proj", "attn.c_proj",
	"mlp.fc1", "mlp.c_fc",
	"mlp.fc2", "mlp.c_proj",
)

// thirds are the parts of c_attn in their order.
var thirds = []string{"query", "key", "value"}

// stored tells under which published name a parameter is stored and as which
// part of it: 0, 1 or 2 of c_attn's columns, or −1 for all.
func stored(name string) (published string, third int) {
	for i, t := range thirds {
		if at := strings.LastIndex(name, ".c_attn."+t+"."); at >= 0 {
			return strings.Replace(name, "."+t+".", ".", 1), i
		}
	}
	return name, -1
}

// conv1D tells whether a stored weight is that of a Conv1D, with shape
// (in, out) where linear layers have (out, in).
func conv1D(name string) bool {
	return slices.ContainsFunc([]string{".c_attn.weight", ".c_proj.weight", ".c_fc.weight"}, func(end string) bool {
		return strings.HasSuffix(name, end)
	})
}

// Conv1D gives the tensors of a published checkpoint, in which linear layers
// are Conv1D and c_attn stacks queries, keys and values, the layout of a
// Model. Names may have any prefix.
func Conv1D(src graph.Source) graph.Source { return unstacked{src} }

type unstacked struct{ graph.Source }

func (u unstacked) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	as, third := stored(name)
	want := slices.Clone(shape)
	if third >= 0 {
		want[0] *= len(thirds)
	}
	transposed := conv1D(as) && len(shape) == 2
	if transposed {
		slices.Reverse(want)
	}
	t, err := u.Source.Tensor(as, want, init)
	if err != nil || third < 0 && !transposed {
		return t, err
	}
	src := t.Float32s()
	dst := make([]float32, tensor.Shape(shape).TotalSize())
	if !transposed {
		copy(dst, src[third*len(dst):])
	} else {
		transpose(dst, src[max(0, third)*shape[0]:], shape[0], shape[1], 1, want[1])
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(dst)), nil
}

// transpose writes dst (rows, cols) with the rows of dst spread over src,
// element (i, j) of dst being src[i·di+j·dj].
func transpose(dst, src []float32, rows, cols, di, dj int) {
	for i := range rows {
		for j := range cols {
			dst[i*cols+j] = src[i*di+j*dj]
		}
	}
}

// LoadOptions say how a checkpoint is read.
type LoadOptions struct {
	Warn func(string) // told of tensors that are not used; may be nil
}

// Load reads the model in a folder of config.json and model.safetensors, or the
// latter's shards, under the published names, with the prefix "transformer."
// or without. A missing or misshapen tensor is an error that lists all of them.
func Load(dir string, o LoadOptions) (*Model, error) {
	c, err := ReadConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	f, err := safetensors.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := open(dir, f, c)
	if err != nil {
		return nil, err
	}
	tensors := graph.NewTensors(dir, entries)
	m, err := New(c, Conv1D(tensors))
	if err != nil {
		return nil, err
	}
	if unused := tensors.Unused(); len(unused) > 0 && o.Warn != nil {
		o.Warn(fmt.Sprintf("%s: unused tensors: %s", dir, strings.Join(unused, ", ")))
	}
	return m, nil
}

// prefix of the names in checkpoints that name the model inside the head.
const prefix = "transformer."

// open lists the tensors of a checkpoint that are parameters, without prefix.
func open(dir string, f *safetensors.File, c Config) (map[string]graph.Lazy, error) {
	entries := map[string]graph.Lazy{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		as := strings.TrimPrefix(name, prefix)
		if strings.HasSuffix(as, ".attn.bias") || strings.HasSuffix(as, ".attn.masked_bias") {
			continue // the causal mask
		}
		if _, ok := entries[as]; ok {
			return nil, errors.Errorf("%s: tensor %q is stored with and without the prefix %q", dir, as, prefix)
		}
		entries[as] = graph.Lazy{Shape: info.Shape, Read: func() ([]float32, error) { return f.Float32(name) }}
	}
	if err := tied(dir, entries); err != nil {
		return nil, err
	}
	// The sizes of a configuration, before memory is taken for them.
	if c.Layers > len(entries) {
		return nil, errors.Errorf("%s: only %d tensors, want a model of %d layers", dir, len(entries), c.Layers)
	}
	for _, want := range []struct {
		name  string
		shape []int
	}{
		{"wte.weight", []int{c.VocabSize, c.Width}},
		{"wpe.weight", []int{c.Context, c.Width}},
		{"h.0.attn.c_attn.weight", []int{c.Width, 3 * c.Width}},
		{"h.0.mlp.c_fc.weight", []int{c.Width, c.Hidden()}},
	} {
		e, ok := entries[want.name]
		if !ok {
			return nil, errors.Errorf("%s: no tensor %q, want one of shape %v", dir, want.name, tensor.Shape(want.shape))
		}
		if !slices.Equal(e.Shape, want.shape) {
			return nil, errors.Errorf("%s: tensor %q has shape %v, want %v by config.json", dir, want.name, tensor.Shape(e.Shape), tensor.Shape(want.shape))
		}
	}
	return entries, nil
}

// tied removes a stored head, which must equal the token embedding.
func tied(dir string, entries map[string]graph.Lazy) error {
	const name = "lm_head.weight"
	head, ok := entries[name]
	if !ok {
		return nil
	}
	delete(entries, name)
	table, ok := entries["wte.weight"]
	if !ok {
		return nil // reported later
	}
	x, err := head.Read()
	if err != nil {
		return err
	}
	y, err := table.Read()
	if err != nil {
		return err
	}
	if !slices.Equal(x, y) {
		return errors.Errorf("%s: tensor %q differs from \"wte.weight\", want a tied head", dir, name)
	}
	return nil
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be, under the published names without prefix. Each file is replaced whole or
// not at all, and equal models give equal bytes.
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, "gpt2")
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), stacked(m.Params()), map[string]string{"format": "pt"}); err != nil {
		return err
	}
	c := m.Config
	c.ModelType, c.Architectures = "gpt2", []string{"GPT2LMHeadModel"}
	return c.Write(filepath.Join(dir, "config.json"))
}

// stacked gives parameters the layout that Conv1D reads.
func stacked(ps *graph.Params) []safetensors.Tensor {
	var tensors []safetensors.Tensor
	at := map[string]int{} // place of a published name
	for p := range ps.All() {
		name, third := stored(p.Name)
		shape := slices.Clone([]int(p.Shape()))
		transposed := conv1D(name)
		parts := 1
		if third >= 0 {
			parts = len(thirds)
		}
		full := slices.Clone(shape)
		full[0] *= parts
		if transposed {
			slices.Reverse(full)
		}
		i, ok := at[name]
		if !ok {
			i = len(tensors)
			at[name] = i
			tensors = append(tensors, safetensors.Tensor{Name: name, Shape: full, Data: make([]float32, tensor.Shape(full).TotalSize())})
		}
		dst, src := tensors[i].Data.([]float32), p.Float32s()
		third = max(0, third)
		if !transposed {
			copy(dst[third*len(src):], src)
			continue
		}
		for o := range shape[0] {
			for j := range shape[1] {
				dst[j*full[1]+third*shape[0]+o] = src[o*shape[1]+j]
			}
		}
	}
	return tensors
}
