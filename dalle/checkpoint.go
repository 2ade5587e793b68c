package dalle

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

// The files of a model.
const (
	configFile = "config.json"
	tensorFile = "model.safetensors"
)

// publishedName turns the path of a layer into the published name of its
// parameter. Queries, keys and values share one stored tensor, in_proj, and are
// told apart by a further element.
func publishedName(path string) string {
	if table, ok := strings.CutSuffix(path, "_pos_embedding.weight"); ok {
		return table + "_pos_embedding"
	}
	return names.Replace(path)
}

var names = strings.NewReplacer(
	"layer_norm1", "ln_1",
	"layer_norm2", "ln_2",
	"self_attn.q_proj", "attn.in_proj.query",
	"self_attn.k_proj", "attn.in_proj.key",
	"self_attn.v_proj", "attn.in_proj.value",
	"self_attn.out_proj", "attn.out_proj",
)

// part tells where a parameter is stored.
type part struct {
	name  string // published
	third int    // of in_proj's rows: queries, keys or values
	of    int    // thirds: 3, or 1 for a tensor of its own
}

func partOf(name string) part {
	for i, t := range []string{".query.", ".key.", ".value."} {
		if at := strings.LastIndex(name, ".in_proj"+t); at >= 0 {
			return part{name: name[:at] + ".in_proj." + name[at+len(".in_proj"+t):], third: i, of: 3}
		}
	}
	return part{name: name, of: 1}
}

// shape is that of the stored tensor, for a parameter of the given one.
func (p part) shape(shape []int) []int {
	s := slices.Clone(shape)
	s[0] *= p.of
	if strings.HasSuffix(p.name, "_pos_embedding") {
		return append([]int{1}, s...)
	}
	return s
}

// published gives the tensors of a checkpoint, in which in_proj stacks queries,
// keys and values, the layout of a Model.
type published struct{ graph.Source }

func (s published) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	p := partOf(name)
	t, err := s.Source.Tensor(p.name, p.shape(shape), init)
	if err != nil {
		return nil, err
	}
	n := tensor.Shape(shape).TotalSize()
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(t.Float32s()[p.third*n:(p.third+1)*n]))), nil
}

// Load reads the model in dir. A missing, misshapen or unknown tensor is an
// error that lists all of them.
func Load(dir string) (*Model, error) {
	c, err := ReadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, tensorFile)
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries := map[string]graph.Lazy{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		entries[name] = graph.Lazy{Shape: info.Shape, Read: func() ([]float32, error) { return f.Float32(name) }}
	}
	if err := fits(path, entries, c); err != nil {
		return nil, err
	}
	return New(c, published{graph.NewTensors(path, entries)})
}

// fits compares a configuration with what is stored before memory is taken for
// its sizes.
func fits(path string, entries map[string]graph.Lazy, c Config) error {
	if c.Layers > len(entries) {
		return errors.Errorf("%s: only %d tensors, want a model of %d layers", path, len(entries), c.Layers)
	}
	var faults []string
	known := map[string]bool{}
	for _, want := range layout(c) {
		known[want.name] = true
		e, ok := entries[want.name]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("%s: no tensor %q, want one of shape %v", path, want.name, tensor.Shape(want.shape)))
		case !slices.Equal(e.Shape, want.shape):
			faults = append(faults, fmt.Sprintf("%s: tensor %q has shape %v, want %v", path, want.name, tensor.Shape(e.Shape), tensor.Shape(want.shape)))
		}
	}
	for name := range entries {
		if !known[name] {
			faults = append(faults, fmt.Sprintf("%s: the model has no tensor %q", path, name))
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// place is a tensor of a checkpoint.
type place struct {
	name  string
	shape []int
}

// layout lists the tensors of a checkpoint.
func layout(c Config) []place {
	D, n := c.Width, c.Hidden()
	ps := []place{
		{"text_embedding.weight", []int{c.TextVocab, D}}, {"text_pos_embedding", []int{1, c.TextTokens, D}},
		{"image_embedding.weight", []int{c.ImageVocab, D}},
		{"ln_f.weight", []int{D}}, {"ln_f.bias", []int{D}},
		{"head.weight", []int{c.ImageVocab, D}}, {"head.bias", []int{c.ImageVocab}},
	}
	if c.Positions == Learned {
		ps = append(ps, place{"image_pos_embedding", []int{1, c.ImageTokens, D}})
	} else {
		ps = append(ps, place{"image_row_embedding.weight", []int{c.Grid(), D}}, place{"image_col_embedding.weight", []int{c.Grid(), D}})
	}
	if c.Causal() {
		ps = append(ps, place{"text_head.weight", []int{c.TextVocab, D}}, place{"text_head.bias", []int{c.TextVocab}})
	}
	for i := range c.Layers {
		for _, p := range []place{
			{"ln_1.weight", []int{D}}, {"ln_1.bias", []int{D}},
			{"attn.in_proj.weight", []int{3 * D, D}}, {"attn.in_proj.bias", []int{3 * D}},
			{"attn.out_proj.weight", []int{D, D}}, {"attn.out_proj.bias", []int{D}},
			{"ln_2.weight", []int{D}}, {"ln_2.bias", []int{D}},
			{"mlp.fc1.weight", []int{n, D}}, {"mlp.fc1.bias", []int{n}},
			{"mlp.fc2.weight", []int{D, n}}, {"mlp.fc2.bias", []int{D}},
		} {
			ps = append(ps, place{fmt.Sprintf("transformer.%d.%s", i, p.name), p.shape})
		}
	}
	return ps
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be, each whole or not at all. Equal models give equal bytes.
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, "dalle")
	}
	tensors := Stored(m.params, func(p *graph.Param) []float32 { return p.Float32s() })
	if err := safetensors.Write(filepath.Join(dir, tensorFile), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return m.Config.Write(filepath.Join(dir, configFile))
}

// Stored gives values of parameters, such as themselves or their gradients, the
// names and shapes of a checkpoint: queries, keys and values are stacked.
// Parameters for which values is nil are left out.
func Stored(ps *graph.Params, values func(*graph.Param) []float32) []safetensors.Tensor {
	var tensors []safetensors.Tensor
	at := map[string]int{}
	for q := range ps.All() {
		src := values(q)
		if src == nil {
			continue
		}
		p := partOf(q.Name)
		i, ok := at[p.name]
		if !ok {
			i, at[p.name] = len(tensors), len(tensors)
			full := p.shape(q.Shape())
			tensors = append(tensors, safetensors.Tensor{Name: p.name, Shape: full, Data: make([]float32, tensor.Shape(full).TotalSize())})
		}
		copy(tensors[i].Data.([]float32)[p.third*len(src):], src)
	}
	return tensors
}
