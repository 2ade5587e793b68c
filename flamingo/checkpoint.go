package flamingo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/graph/safetensors"
)

// The files of a model.
const (
	configFile   = "config.json"
	tensorFile   = "model.safetensors"
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
	if unused := tensors.Unused(); len(unused) > 0 && o.Warn != nil {
		o.Warn(fmt.Sprintf("%s: unused tensors: %s", dir, strings.Join(unused, ", ")))
	}
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
	var faults []string
	for _, want := range sizes(c, whole) {
		e, ok := entries[want.name]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("%s: no tensor %q, want one of shape %v", dir, want.name, tensor.Shape(want.shape)))
		case !slices.Equal(e.Shape, want.shape):
			faults = append(faults, fmt.Sprintf("%s: tensor %q has shape %v, want %v", dir, want.name, tensor.Shape(e.Shape), tensor.Shape(want.shape)))
		}
	}
	if len(faults) > 0 {
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

// place is a stored tensor.
type place struct {
	name  string
	shape []int
}

// sizes lists tensors whose shapes confirm all sizes of a configuration.
func sizes(c Config, whole bool) []place {
	r, x, E, D := c.Resampler, c.Cross, c.Vision, c.Text.Width
	gated := fmt.Sprintf("%s.gated_cross_attn_layers.%d.", language, c.Every-1)
	ps := []place{
		{"perceiver.latents", []int{r.Latents, E}},
		{"perceiver.layers.0.0.to_q.weight", []int{r.Heads * r.HeadWidth, E}},
		{"perceiver.layers.0.1.1.weight", []int{r.Mult * E, E}},
		{gated + "attn.to_q.weight", []int{x.Heads * x.HeadWidth, D}},
		{gated + "ff.1.weight", []int{x.Mult * D, D}},
	}
	if r.MaxFrames > 0 {
		ps = append(ps, place{"perceiver.frame_embs", []int{r.MaxFrames, E}})
	}
	if r.MaxImages > 0 {
		ps = append(ps, place{"perceiver.media_time_embs", []int{r.MaxImages, 1, E}})
	}
	if c.Added > 0 {
		ps = append(ps, place{addedName, []int{c.Added, D}})
	}
	if whole {
		ps = append(ps, place{tableName, []int{c.Text.VocabSize, D}}, place{language + ".wpe.weight", []int{c.Text.Context, D}},
			place{language + ".h.0.mlp.c_fc.weight", []int{D, c.Text.Hidden()}})
	}
	return ps
}

// Save writes config.json and what is trained, as model.safetensors, to dir,
// which is made if need be. Each file is replaced whole or not at all, and equal
// models give equal bytes. The language model is not written: it is the one the
// model was made around.
func (m *Model) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return errors.Wrap(err, "flamingo")
	}
	var tensors []safetensors.Tensor
	for p := range m.Params().Trained() {
		tensors = append(tensors, safetensors.Tensor{Name: p.Name, Shape: p.Shape(), Data: p.Value.Data()})
	}
	if err := safetensors.Write(filepath.Join(dir, tensorFile), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return m.Config.Write(filepath.Join(dir, configFile))
}
