package gpt2

import (
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
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
	past     []int     // tokens of each text
	pasts    []float32 // the same, an input of all passes
	step     *pass     // of one token
	prompt   *pass     // of the longest of the last prompts
}

// NewDecoder makes a decoder of batch texts of at most capacity tokens each,
// prompt included.
func (m *Model) NewDecoder(batch, capacity int) (*Decoder, error) {
	if batch < 1 || capacity < 1 || capacity > m.Context {
		return nil, errors.Errorf("gpt2: %d texts of %d tokens, want at least one, and at most n_positions %d", batch, capacity, m.Context)
	}
	d := &Decoder{
		m: m, batch: batch, capacity: capacity,
		cache: layers.NewCache(layers.CacheConfig{Layers: m.Layers, Batch: batch, Heads: m.Heads, Tokens: capacity, Width: m.Width}),
		past:  make([]int, batch),
		pasts: make([]float32, batch),
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
	taken  []int     // (B), how many of the n tokens are each text's, the first ones
	last   []float32 // (B), the place of the last of these
}

func (d *Decoder) compile(n int) (*pass, error) {
	p := &pass{
		n: n, ids: make([]float32, d.batch*n), places: make([]float32, d.batch*n),
		taken: slices.Repeat([]int{1}, d.batch), last: make([]float32, d.batch),
	}
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
		"last":     tensor.New(tensor.WithShape(d.batch), tensor.WithBacking(p.last)),
		"past":     tensor.New(tensor.WithShape(d.batch), tensor.WithBacking(d.pasts)),
	}
	return p, nil
}

// logits maps the next n tokens of each text to the scores (B, V) of the token
// that follows them.
func (d *Decoder) logits(b *graph.Builder, n int) *graph.Node {
	past := layers.Past{Tokens: b.Input("past", d.batch)}
	x := d.m.Embed(b, b.Input("ids", d.batch, n), b.Input("position", d.batch, n))
	for i, k := range d.m.Blocks {
		x = k.Cached(b, x, d.cache.Layers[i], past)
	}
	return d.m.Head(b, b.Must(op.At(x, b.Input("last", d.batch))))
}

// Past is the number of tokens taken of the longest text.
func (d *Decoder) Past() int { return slices.Max(d.past) }

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
// call. Prompts may differ in length, which changes nothing for any.
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
	p, err := d.passOf(longest)
	if err != nil {
		return nil, err
	}
	clear(d.past)
	clear(p.ids) // what follows a shorter prompt is written over
	for i, ids := range prompts {
		for j, id := range ids {
			p.ids[i*longest+j] = float32(id)
		}
		p.taken[i] = len(ids)
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
	if past := d.Past(); past+p.n > d.capacity {
		return nil, errors.Errorf("gpt2: %d tokens after %d, want at most %d", p.n, past, d.capacity)
	}
	for i, past := range d.past {
		d.pasts[i], p.last[i] = float32(past), float32(p.taken[i]-1)
		for j := range p.n {
			p.places[i*p.n+j] = float32(past + j)
		}
	}
	if err := p.prog.Run(p.in); err != nil {
		return nil, err
	}
	for i, n := range p.taken {
		d.past[i] += n
	}
	return p.prog.Output("logits").Float32s(), nil
}
