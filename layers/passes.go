package layers

import (
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

// PassesConfig says what a step of decoding takes and gives.
type PassesConfig struct {
	Batch  int          // B, texts
	Tokens int          // M, room of the cache
	Inputs []string     // further inputs (B, n), with an element for each token
	Shared graph.Values // further inputs, the same for all passes
	// Logits maps the next n tokens of each text to the scores (B, V) of the token
	// that follows them.
	Logits func(b *graph.Builder, t Next) *graph.Node
}

// Next are the tokens that a pass takes.
type Next struct {
	N      int         // of each text
	IDs    *graph.Node // (B, N)
	Places *graph.Node // (B, N), in the text
	Past   Past
	last   *graph.Node // (B), the place in the pass of each text's last token
}

// Last picks from x (B, N, D) the row of each text's last token, (B, D).
func (t Next) Last(b *graph.Builder, x *graph.Node) *graph.Node { return b.Must(op.At(x, t.last)) }

// Passes decode a batch of texts with a cache: whole prompts, which may differ in
// length, and then a token of each at a time. They serve one caller at a time.
type Passes struct {
	c      PassesConfig
	past   []int         // tokens of each text in the cache
	pasts  *tensor.Dense // the same, an input
	step   *Pass         // of one token
	prompt *Pass         // of the longest of the last prompts
}

// A Pass is a program that takes n tokens of each text.
type Pass struct {
	n            int
	prog         *graph.Program
	in           graph.Values
	taken        []int     // (B), how many of the n tokens are each text's, the first ones
	places, last []float32 // (B, n), (B)
}

// Row is input name, such as "ids", of a text: an element for each of its tokens.
func (p *Pass) Row(name string, text int) []float32 {
	return p.in[name].Float32s()[text*p.n:][:p.taken[text]]
}

// NewPasses compiles the pass of one token.
func NewPasses(c PassesConfig) (*Passes, error) {
	d := &Passes{c: c, past: make([]int, c.Batch), pasts: tensor.New(tensor.WithShape(c.Batch), tensor.Of(tensor.Float32))}
	var err error
	d.step, err = d.compile(1)
	return d, err
}

func (d *Passes) compile(n int) (*Pass, error) {
	p := &Pass{n: n, in: graph.Values{"past": d.pasts}, taken: slices.Repeat([]int{1}, d.c.Batch)}
	for _, name := range append([]string{"ids", "position"}, d.c.Inputs...) {
		p.in[name] = tensor.New(tensor.WithShape(d.c.Batch, n), tensor.Of(tensor.Float32))
	}
	p.in["last"] = tensor.New(tensor.WithShape(d.c.Batch), tensor.Of(tensor.Float32))
	p.places, p.last = p.in["position"].Float32s(), p.in["last"].Float32s()
	for name, v := range d.c.Shared {
		p.in[name] = v
	}
	// A step reads all weights for little work, so packing them once pays. A
	// prompt is one run.
	var err error
	p.prog, err = graph.Compile(func(b *graph.Builder) {
		b.Output("logits", d.c.Logits(b, Next{
			N: n, IDs: b.Input("ids", d.c.Batch, n), Places: b.Input("position", d.c.Batch, n),
			Past: Past{Tokens: b.Input("past", d.c.Batch)}, last: b.Input("last", d.c.Batch),
		}))
	}, &graph.Options{Fixed: n == 1})
	return p, err
}

// Past is the number of tokens taken of each text.
func (d *Passes) Past() []int { return d.past }

// Step is the pass of one token, to be filled by Row and run.
func (d *Passes) Step() *Pass { return d.step }

// Prompt forgets all texts and returns a pass for prompts of the given lengths, one
// for each text and at least 1, to be filled by Row and run.
func (d *Passes) Prompt(lengths []int) (*Pass, error) {
	n := slices.Max(lengths)
	if n > d.c.Tokens {
		return nil, errors.Errorf("a prompt of %d tokens, want at most %d", n, d.c.Tokens)
	}
	p, err := d.of(n)
	if err != nil {
		return nil, err
	}
	clear(d.past)
	copy(p.taken, lengths)
	for _, name := range append([]string{"ids"}, d.c.Inputs...) {
		clear(p.in[name].Float32s()) // what follows a shorter prompt, and is written over
	}
	return p, nil
}

// of returns the pass of n tokens, keeping the last one besides the step.
func (d *Passes) of(n int) (*Pass, error) {
	switch {
	case n == 1:
		return d.step, nil
	case d.prompt != nil && d.prompt.n == n:
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

// Run takes the tokens of a pass. It returns the scores (B, V) of the tokens that
// follow, valid until the next run.
func (d *Passes) Run(p *Pass) ([]float32, error) {
	if past := slices.Max(d.past); past+p.n > d.c.Tokens {
		return nil, errors.Errorf("%d tokens after %d, want at most %d", p.n, past, d.c.Tokens)
	}
	for i, past := range d.past {
		d.pasts.Float32s()[i], p.last[i] = float32(past), float32(p.taken[i]-1)
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

// Close frees the programs.
func (d *Passes) Close() error {
	err := d.step.prog.Close()
	if d.prompt != nil {
		if e := d.prompt.prog.Close(); err == nil {
			err = e
		}
	}
	return err
}
