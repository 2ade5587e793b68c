package gpt2

import (
	"math"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/layers"
)

// A Decoder predicts tokens one after another for a batch of texts, with cached
// keys and values: a step costs one token's pass, not that of the whole text.
// It serves one caller at a time. The model's parameters must not change while
// it lives.
type Decoder struct {
	m        *Model
	batch    int // B
	capacity int // M, tokens
	cache    *layers.Cache
	past     int
	padding  []int        // tokens on the left of each text that are none
	mask     []float32    // (B, M)
	step     *pass        // of one token
	prompt   *pass        // of the last prompt's length
	shared   graph.Values // inputs of all passes
}

// NewDecoder makes a decoder of batch texts of at most capacity tokens each,
// prompt included.
func (m *Model) NewDecoder(batch, capacity int) (*Decoder, error) {
	if batch < 1 || capacity < 1 || capacity > m.Context {
		return nil, errors.Errorf("gpt2: %d texts of %d tokens, want at least one, and at most n_positions %d", batch, capacity, m.Context)
	}
	d := &Decoder{
		m: m, batch: batch, capacity: capacity,
		cache:   layers.NewCache(layers.CacheConfig{Layers: m.Layers, Batch: batch, Heads: m.Heads, Tokens: capacity, Width: m.Width}),
		padding: make([]int, batch),
		mask:    make([]float32, batch*capacity),
	}
	d.shared = graph.Values{
		"past": tensor.New(tensor.WithShape(1), tensor.Of(tensor.Float32)),
		"mask": tensor.New(tensor.WithShape(batch, capacity), tensor.WithBacking(d.mask)),
	}
	var err error
	d.step, err = d.compile(1)
	return d, err
}

// pass is the program that takes n tokens of each text.
type pass struct {
	n      int
	prog   *graph.Program
	in     graph.Values
	ids    []float32 // (B, n)
	places []float32 // (B, n)
}

func (d *Decoder) compile(n int) (*pass, error) {
	p := &pass{n: n, ids: make([]float32, d.batch*n), places: make([]float32, d.batch*n)}
	// A step reads all weights for little work, so packing them once pays. A
	// prompt is one run.
	o := &graph.Options{Fixed: n == 1}
	prog, err := graph.Compile(func(b *graph.Builder) { b.Output("logits", d.logits(b, n)) }, o)
	if err != nil {
		return nil, err
	}
	p.prog = prog
	p.in = graph.Values{
		"ids":      tensor.New(tensor.WithShape(d.batch, n), tensor.WithBacking(p.ids)),
		"position": tensor.New(tensor.WithShape(d.batch, n), tensor.WithBacking(p.places)),
	}
	for name, v := range d.shared {
		p.in[name] = v
	}
	return p, nil
}

// logits maps the next n tokens of each text to the scores (B, V) of the token
// that follows them.
func (d *Decoder) logits(b *graph.Builder, n int) *graph.Node {
	past := layers.Past{Tokens: b.Input("past", 1), Mask: b.Input("mask", d.batch, d.capacity)}
	x := d.m.Embed(b, b.Input("ids", d.batch, n), b.Input("position", d.batch, n))
	for i, k := range d.m.Blocks {
		x = k.Cached(b, x, d.cache.Layers[i], past)
	}
	return d.m.Head(b, b.At(x, 1, n-1))
}

// Past is the number of tokens taken, the same for all texts.
func (d *Decoder) Past() int { return d.past }

// Close frees the programs.
func (d *Decoder) Close() error {
	err := d.step.prog.Close()
	if d.prompt != nil {
		if e := d.prompt.prog.Close(); err == nil {
			err = e
		}
	}
	return err
}

// Start forgets everything and takes a prompt for each text, at once. It
// returns the scores (B, V) of the tokens that follow, valid until the next
// call. Shorter prompts are padded on the left, which changes nothing for them.
func (d *Decoder) Start(prompts [][]int) ([]float32, error) {
	if len(prompts) != d.batch {
		return nil, errors.Errorf("gpt2: %d prompts for %d texts", len(prompts), d.batch)
	}
	longest := 0
	for i, ids := range prompts {
		if len(ids) == 0 {
			return nil, errors.Errorf("gpt2: prompt %d is empty", i)
		}
		longest = max(longest, len(ids))
	}
	if longest > d.capacity {
		return nil, errors.Errorf("gpt2: a prompt of %d tokens, want at most %d", longest, d.capacity)
	}
	d.past = 0
	clear(d.mask)
	for i, ids := range prompts {
		d.padding[i] = longest - len(ids)
		for j := range d.padding[i] {
			d.mask[i*d.capacity+j] = float32(math.Inf(-1))
		}
	}
	p, err := d.passOf(longest)
	if err != nil {
		return nil, err
	}
	for i, ids := range prompts {
		row := p.ids[i*longest : (i+1)*longest]
		clear(row[:d.padding[i]])
		for j, id := range ids {
			row[d.padding[i]+j] = float32(id)
		}
	}
	return d.run(p)
}

// Next takes one more token of each text. It returns the scores (B, V) of the
// tokens that follow, valid until the next call.
func (d *Decoder) Next(ids []int) ([]float32, error) {
	if len(ids) != d.batch {
		return nil, errors.Errorf("gpt2: %d tokens for %d texts", len(ids), d.batch)
	}
	for i, id := range ids {
		d.step.ids[i] = float32(id)
	}
	return d.run(d.step)
}

// passOf returns the pass of n tokens, keeping the last one besides the step.
func (d *Decoder) passOf(n int) (*pass, error) {
	if n == 1 {
		return d.step, nil
	}
	if d.prompt != nil && d.prompt.n == n {
		return d.prompt, nil
	}
	p, err := d.compile(n)
	if err != nil {
		return nil, err
	}
	if d.prompt != nil {
		d.prompt.prog.Close()
	}
	d.prompt = p
	return p, nil
}

// run takes the tokens of a pass whose ids are set.
func (d *Decoder) run(p *pass) ([]float32, error) {
	if d.past+p.n > d.capacity {
		return nil, errors.Errorf("gpt2: %d tokens after %d, want at most %d", p.n, d.past, d.capacity)
	}
	for i := range d.batch {
		for j := range p.n {
			p.places[i*p.n+j] = float32(max(0, d.past+j-d.padding[i]))
		}
	}
	d.shared["past"].Float32s()[0] = float32(d.past)
	if err := p.prog.Run(p.in); err != nil {
		return nil, err
	}
	d.past += p.n
	return p.prog.Output("logits").Float32s(), nil
}
