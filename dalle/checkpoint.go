package dalle

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

// The files of a model.
const (
	configFile = checkpoint.ConfigFile
	tensorFile = checkpoint.TensorFile
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
	s, err := checkpoint.OpenSafetensors(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	entries := s.Entries()
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
	want := layout(c)
	faults := want.Faults(path, entries)
	for name := range entries {
		if !want.Has(name) {
			faults = append(faults, fmt.Sprintf("%s: the model has no tensor %q", path, name))
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// layout lists the tensors of a checkpoint.
func layout(c Config) *checkpoint.Layout {
	D, n := c.Width, c.Hidden()
	var l checkpoint.Layout
	l.Add("text_embedding.weight", c.TextVocab, D)
	l.Add("text_pos_embedding", 1, c.TextTokens, D)
	l.Add("image_embedding.weight", c.ImageVocab, D)
	l.Add("ln_f.weight", D)
	l.Add("ln_f.bias", D)
	l.Add("head.weight", c.ImageVocab, D)
	l.Add("head.bias", c.ImageVocab)
	if c.Positions == Learned {
		l.Add("image_pos_embedding", 1, c.ImageTokens, D)
	} else {
		l.Add("image_row_embedding.weight", c.Grid(), D)
		l.Add("image_col_embedding.weight", c.Grid(), D)
	}
	if c.Causal() {
		l.Add("text_head.weight", c.TextVocab, D)
		l.Add("text_head.bias", c.TextVocab)
	}
	for i := range c.Layers {
		block := fmt.Sprintf("transformer.%d.", i)
		l.Add(block+"ln_1.weight", D)
		l.Add(block+"ln_1.bias", D)
		l.Add(block+"attn.in_proj.weight", 3*D, D)
		l.Add(block+"attn.in_proj.bias", 3*D)
		l.Add(block+"attn.out_proj.weight", D, D)
		l.Add(block+"attn.out_proj.bias", D)
		l.Add(block+"ln_2.weight", D)
		l.Add(block+"ln_2.bias", D)
		l.Add(block+"mlp.fc1.weight", n, D)
		l.Add(block+"mlp.fc1.bias", n)
		l.Add(block+"mlp.fc2.weight", D, n)
		l.Add(block+"mlp.fc2.bias", D)
	}
	return &l
}

// Save writes config.json and model.safetensors to dir, which is made if need
// be, each whole or not at all. Equal models give equal bytes.
func (m *Model) Save(dir string) error {
	return checkpoint.Save(dir, "dalle", Stored(m.params, func(p *graph.Param) []float32 { return p.Float32s() }), m.Config)
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
