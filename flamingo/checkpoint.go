package flamingo

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/layers/checkpoint"
)

// The files of a model.
const (
	configFile   = checkpoint.ConfigFile
	tensorFile   = checkpoint.TensorFile
	LanguageName = "language" // folder of the language model beside them
)

const (
	language  = "lang_encoder" // path of the language model
	tableName = language + ".wte.weight"
	addedName = language + ".added_tokens.weight"
)

// LoadOptions say what a checkpoint does not.
type LoadOptions struct {
	Language string       // folder of the language model; "": LanguageName beside the checkpoint
	Warn     func(string) // told of tensors that are not used; may be nil
}

// Load reads the model in dir. The tensors of the language model may be in the
// same file, under lang_encoder, or in a folder of their own. A missing or
// misshapen tensor is an error that lists all of them.
func Load(dir string, o LoadOptions) (*Model, error) {
	c, err := ReadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	f, err := safetensors.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, whole, err := open(dir, f, c)
	if err != nil {
		return nil, err
	}
	tensors := graph.NewTensors(dir, entries)
	src := gpt2.Conv1D(tensors)
	if !whole {
		path := o.Language
		if path == "" {
			path = filepath.Join(dir, LanguageName)
		}
		lm, err := gpt2.Load(path, gpt2.LoadOptions{Warn: o.Warn})
		if err != nil {
			return nil, errors.WithMessagef(err, "%s has no language model of its own", dir)
		}
		if !sameSizes(lm.Config, c.Text) {
			return nil, errors.Errorf("%s: the language model in %s is not the one of text_config: %d tokens, width %d, %d layers, want %d, %d, %d",
				dir, path, lm.VocabSize, lm.Width, lm.Layers, c.Text.VocabSize, c.Text.Width, c.Text.Layers)
		}
		src = Around(lm, tensors)
	}
	m, err := New(c, src)
	if err != nil {
		return nil, err
	}
	checkpoint.WarnUnused(tensors, o.Warn)
	return m, nil
}

// sameSizes compares what decides about the tensors' shapes.
func sameSizes(a, b gpt2.Config) bool {
	return a.VocabSize == b.VocabSize && a.Context == b.Context && a.Width == b.Width &&
		a.Layers == b.Layers && a.Heads == b.Heads && a.Hidden() == b.Hidden()
}

// Around gives the parameters of a language model the values of lm, and all
// others those of src.
func Around(lm *gpt2.Model, src graph.Source) graph.Source { return around{lm.Params(), src} }

type around struct {
	lm *graph.Params
	graph.Source
}

func (a around) Tensor(name string, shape []int, init graph.Init) (*tensor.Dense, error) {
	own, ok := strings.CutPrefix(name, language+".")
	if !ok {
		return a.Source.Tensor(name, shape, init)
	}
	p := a.lm.Get(own)
	if p == nil {
		return a.Source.Tensor(name, shape, init)
	}
	if !slices.Equal(p.Shape(), shape) {
		return nil, errors.Errorf("flamingo: the language model's %s has shape %v, want %v", own, p.Shape(), tensor.Shape(shape))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(p.Float32s()))), nil
}

// open lists the tensors of a checkpoint by the names of this module, and tells
// whether the language model is among them.
func open(dir string, f *safetensors.File, c Config) (entries map[string]graph.Lazy, whole bool, err error) {
	entries = map[string]graph.Lazy{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		as := ownName(name)
		if _, ok := entries[as]; ok {
			return nil, false, errors.Errorf("%s: tensor %q is stored under two names", dir, as)
		}
		entries[as] = graph.Lazy{Shape: info.Shape, Read: func() ([]float32, error) { return f.Float32(name) }}
	}
	splitTable(entries, c)
	_, whole = entries[language+".ln_f.weight"]
	// Before memory is taken for the sizes of the configuration.
	if n := len(entries); c.Resampler.Depth > n || c.Text.Layers/c.Every > n || whole && c.Text.Layers > n {
		return nil, false, errors.Errorf("%s: only %d tensors, want a resampler of depth %d and a language model of %d layers", dir, n, c.Resampler.Depth, c.Text.Layers)
	}
	if faults := sizes(c, whole).Faults(dir, entries); len(faults) > 0 {
		return nil, false, errors.New(strings.Join(faults, "\n"))
	}
	return entries, whole, nil
}

// ownName is the name this module gives to a tensor of open_flamingo, which
// stores cross-attention with the block it precedes,
// lang_encoder.transformer.h.3.gated_cross_attn_layer, or in a list of its own.
func ownName(name string) string {
	if before, rest, ok := strings.Cut(name, ".gated_cross_attn_layer."); ok && strings.HasPrefix(before, language+".") {
		if at := strings.LastIndexByte(before, '.'); at >= 0 {
			return language + ".gated_cross_attn_layers." + before[at+1:] + "." + rest
		}
	}
	return strings.Replace(name, language+".transformer.", language+".", 1)
}

// splitTable divides a table of all tokens into those of the language model and
// the added ones.
func splitTable(entries map[string]graph.Lazy, c Config) {
	e, ok := entries[tableName]
	V, D := c.Text.VocabSize, c.Text.Width
	if _, both := entries[addedName]; !ok || both || c.Added == 0 || !slices.Equal(e.Shape, []int{V + c.Added, D}) {
		return
	}
	part := func(rows, lo, hi int) graph.Lazy {
		return graph.Lazy{Shape: []int{rows, D}, Read: func() ([]float32, error) {
			all, err := e.Read()
			if err != nil {
				return nil, err
			}
			return slices.Clone(all[lo*D : hi*D]), nil
		}}
	}
	entries[tableName], entries[addedName] = part(V, 0, V), part(c.Added, V, V+c.Added)
}

// sizes lists tensors whose shapes confirm all sizes of a configuration.
func sizes(c Config, whole bool) *checkpoint.Layout {
	r, x, E, D := c.Resampler, c.Cross, c.Vision, c.Text.Width
	gated := fmt.Sprintf("%s.gated_cross_attn_layers.%d.", language, c.Every-1)
	var l checkpoint.Layout
	l.Add("perceiver.latents", r.Latents, E)
	l.Add("perceiver.layers.0.0.to_q.weight", r.Heads*r.HeadWidth, E)
	l.Add("perceiver.layers.0.1.1.weight", r.Mult*E, E)
	l.Add(gated+"attn.to_q.weight", x.Heads*x.HeadWidth, D)
	l.Add(gated+"ff.1.weight", x.Mult*D, D)
	if r.MaxFrames > 0 {
		l.Add("perceiver.frame_embs", r.MaxFrames, E)
	}
	if r.MaxImages > 0 {
		l.Add("perceiver.media_time_embs", r.MaxImages, 1, E)
	}
	if c.Added > 0 {
		l.Add(addedName, c.Added, D)
	}
	if whole {
		l.Add(tableName, c.Text.VocabSize, D)
		l.Add(language+".wpe.weight", c.Text.Context, D)
		l.Add(language+".h.0.mlp.c_fc.weight", D, c.Text.Hidden())
	}
	return &l
}

// Save writes config.json and what is trained, as model.safetensors, to dir,
// which is made if need be. Each file is replaced whole or not at all, and equal
// models give equal bytes. The language model is not written: it is the one the
// model was made around.
func (m *Model) Save(dir string) error {
	return checkpoint.Save(dir, "flamingo", checkpoint.Tensors(m.Params().Trained()), m.Config)
}
