package gpt2

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/layers/checkpoint"
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

// part tells where a parameter is stored.
type part struct {
	name       string // published
	third      int    // of c_attn's columns: queries, keys or values
	of         int    // thirds: 3, or 1 for a tensor of its own
	transposed bool   // a weight of a Conv1D, (in, out) where linear layers have (out, in)
}

func partOf(name string) part {
	p := part{name: name, of: 1}
	for i, t := range []string{".query.", ".key.", ".value."} {
		if at := strings.LastIndex(name, ".c_attn"+t); at >= 0 {
			p = part{name: name[:at] + ".c_attn." + name[at+len(".c_attn"+t):], third: i, of: 3}
		}
	}
	for _, layer := range []string{".c_attn", ".c_proj", ".c_fc"} {
		p.transposed = p.transposed || strings.HasSuffix(p.name, layer+".weight")
	}
	return p
}

// shape is that of the stored tensor, for a parameter of the given one.
func (p part) shape(shape []int) []int {
	s := slices.Clone(shape)
	s[0] *= p.of
	if p.transposed {
		slices.Reverse(s)
	}
	return s
}

// each calls f with the place of every element in the parameter and in the
// stored tensor.
func (p part) each(shape []int, f func(i, at int)) {
	rows, cols := shape[0], 1
	if len(shape) == 2 {
		cols = shape[1]
	}
	first, down, right := p.third*rows*cols, cols, 1
	if p.transposed {
		first, down, right = p.third*rows, 1, p.of*rows
	}
	for r := range rows {
		for c := range cols {
			f(r*cols+c, first+r*down+c*right)
		}
	}
}

// Conv1D gives the tensors of a published checkpoint, in which linear layers
// are Conv1D and c_attn stacks queries, keys and values, the layout of a
// Model. Names may have any prefix.
func Conv1D(src graph.Source) graph.Source { return conv1D{src} }

type conv1D struct{ graph.Source }

func (c conv1D) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	p := partOf(name)
	t, err := c.Source.Tensor(p.name, p.shape(shape), init)
	if err != nil || p.of == 1 && !p.transposed {
		return t, err
	}
	src, dst := t.Float32s(), make([]float32, tensor.Shape(shape).TotalSize())
	p.each(shape, func(i, at int) { dst[i] = src[at] })
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(dst)), nil
}

// LoadOptions say how a checkpoint is read.
type LoadOptions struct {
	Warn func(string) // told of tensors that are not used; may be nil
}

// Load reads the model in a folder of config.json and model.safetensors, or the
// latter's shards, under the published names, with the prefix "transformer."
// or without. A missing or misshapen tensor is an error that lists all of them.
func Load(dir string, o LoadOptions) (*Model, error) {
	c, err := ReadConfig(filepath.Join(dir, checkpoint.ConfigFile))
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
	checkpoint.WarnUnused(tensors, o.Warn)
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
	// Before memory is taken for the sizes of the configuration.
	if c.Layers > len(entries) {
		return nil, errors.Errorf("%s: only %d tensors, want a model of %d layers", dir, len(entries), c.Layers)
	}
	if faults := layout(c).Faults(dir, entries); len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "\n"))
	}
	return entries, nil
}

// layout lists the tensors of a published checkpoint.
func layout(c Config) *checkpoint.Layout {
	D, n := c.Width, c.Hidden()
	var l checkpoint.Layout
	l.Add("wte.weight", c.VocabSize, D)
	l.Add("wpe.weight", c.Context, D)
	l.Add("ln_f.weight", D)
	l.Add("ln_f.bias", D)
	for i := range c.Layers {
		block := fmt.Sprintf("h.%d.", i)
		l.Add(block+"ln_1.weight", D)
		l.Add(block+"ln_1.bias", D)
		l.Add(block+"attn.c_attn.weight", D, 3*D)
		l.Add(block+"attn.c_attn.bias", 3*D)
		l.Add(block+"attn.c_proj.weight", D, D)
		l.Add(block+"attn.c_proj.bias", D)
		l.Add(block+"ln_2.weight", D)
		l.Add(block+"ln_2.bias", D)
		l.Add(block+"mlp.c_fc.weight", D, n)
		l.Add(block+"mlp.c_fc.bias", n)
		l.Add(block+"mlp.c_proj.weight", n, D)
		l.Add(block+"mlp.c_proj.bias", D)
	}
	return &l
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
	if !ok || !slices.Equal(head.Shape, table.Shape) {
		return errors.Errorf("%s: tensor %q without \"wte.weight\" of its shape, want a tied head", dir, name)
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
	c := m.Config
	c.ModelType, c.Architectures = "gpt2", []string{"GPT2LMHeadModel"}
	return checkpoint.Save(dir, "gpt2", stacked(m.Params()), c)
}

// stacked gives parameters the layout that Conv1D reads.
func stacked(ps *graph.Params) []safetensors.Tensor {
	var tensors []safetensors.Tensor
	at := map[string]int{}
	for q := range ps.All() {
		p := partOf(q.Name)
		i, ok := at[p.name]
		if !ok {
			i, at[p.name] = len(tensors), len(tensors)
			full := p.shape(q.Shape())
			tensors = append(tensors, safetensors.Tensor{Name: p.name, Shape: full, Data: make([]float32, tensor.Shape(full).TotalSize())})
		}
		dst, src := tensors[i].Data.([]float32), q.Float32s()
		p.each(q.Shape(), func(i, at int) { dst[at] = src[i] })
	}
	return tensors
}
