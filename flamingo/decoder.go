package flamingo

import (
	"fmt"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/layers"
)

// A Decoder predicts tokens one after another for a batch of texts with images.
// It caches keys and values of tokens and of images, so a step costs one
// token's pass and looks at no patch. It serves one caller at a time. The
// model's parameters must not change while it lives.
type Decoder struct {
	m        *Model
	batch    int // B
	images   int // T
	capacity int // M, tokens
	cache    *layers.Cache
	past     []int // tokens of each text
	seen     []int // images of each text
	step     *pass // of one token
	prompt   *pass // of the longest of the last prompts
	media    *mediaPass
	shared   graph.Values // inputs of all passes: past, keys and values of images
}

// NewDecoder makes a decoder of batch texts of at most images images and
// capacity tokens each, prompt included.
func (m *Model) NewDecoder(batch, images, capacity int) (*Decoder, error) {
	if batch < 1 || images < 0 || capacity < 1 || capacity > m.Text.Context {
		return nil, errors.Errorf("flamingo: %d texts of %d images and %d tokens, want at least one text, and at most n_positions %d tokens",
			batch, images, capacity, m.Text.Context)
	}
	c := m.Text
	d := &Decoder{
		m: m, batch: batch, images: max(1, images), capacity: capacity,
		cache: layers.NewCache(layers.CacheConfig{Layers: c.Layers, Batch: batch, Heads: c.Heads, Tokens: capacity, Width: c.Width}),
		past:  make([]int, batch), seen: make([]int, batch),
	}
	d.shared = graph.Values{"past": tensor.New(tensor.WithShape(batch), tensor.Of(tensor.Float32))}
	for i := range m.Gated {
		for _, name := range []string{keysName(i), valuesName(i)} {
			d.shared[name] = tensor.New(tensor.WithShape(d.memoryShape()...), tensor.Of(tensor.Float32))
		}
	}
	var err error
	d.step, err = d.compile(1)
	return d, err
}

func keysName(block int) string   { return fmt.Sprint("keys.", block) }
func valuesName(block int) string { return fmt.Sprint("values.", block) }

// memoryShape is that of the keys and values of images, in each gated block.
func (d *Decoder) memoryShape() []int {
	x := d.m.Config.Cross
	return []int{d.batch, d.images * d.m.Config.Resampler.Latents, x.Heads * x.HeadWidth}
}

// mediaPass is the program that turns images into keys and values.
type mediaPass struct {
	shape Shape
	prog  *graph.Program
}

// pass is the program that takes n tokens of each text.
type pass struct {
	n                 int
	prog              *graph.Program
	in                graph.Values
	ids, places, time []float32 // (B, n)
	taken             []int     // (B), how many of the n tokens are each text's, the first ones
	last              []float32 // (B), the place of the last of these
}

func (d *Decoder) compile(n int) (*pass, error) {
	p := &pass{n: n, in: graph.Values{}, taken: slices.Repeat([]int{1}, d.batch)}
	input := func(name string, shape ...int) []float32 {
		v := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
		p.in[name] = v
		return v.Float32s()
	}
	p.ids, p.places, p.time = input("ids", d.batch, n), input("position", d.batch, n), input("time", d.batch, n)
	p.last = input("last", d.batch)
	for name, v := range d.shared {
		p.in[name] = v
	}
	// A step reads all weights for little work, so packing them once pays. A
	// prompt is one run.
	var err error
	p.prog, err = graph.Compile(func(b *graph.Builder) { b.Output("logits", d.logits(b, n)) }, &graph.Options{Fixed: n == 1})
	return p, err
}

// logits maps the next n tokens of each text to the scores (B, V) of the token
// that follows them.
func (d *Decoder) logits(b *graph.Builder, n int) *graph.Node {
	m := d.m
	past := layers.Past{Tokens: b.Input("past", d.batch)}
	mem := map[int]memory{}
	for i := range m.Language.Blocks {
		if _, ok := m.Gated[i]; ok {
			mem[i] = memory{b.Input(keysName(i), d.memoryShape()...), b.Input(valuesName(i), d.memoryShape()...)}
		}
	}
	seen := mediaMask(b, b.Input("time", d.batch, n), d.images, m.Config.Resampler.Latents, m.Immediate)
	x := m.embed(b, b.Input("ids", d.batch, n), b.Input("position", d.batch, n))
	x = m.blocks(b, x, mem, seen, func(i int, x *graph.Node) *graph.Node {
		return m.Language.Blocks[i].Cached(b, x, d.cache.Layers[i], past)
	})
	return m.head(b, b.Must(op.At(x, b.Input("last", d.batch))))
}

// Past is the number of tokens taken of the longest text.
func (d *Decoder) Past() int { return slices.Max(d.past) }

// Close frees the programs.
func (d *Decoder) Close() error {
	progs := []*graph.Program{d.step.prog}
	if d.prompt != nil {
		progs = append(progs, d.prompt.prog)
	}
	if d.media != nil {
		progs = append(progs, d.media.prog)
	}
	var first error
	for _, p := range progs {
		if err := p.Close(); first == nil {
			first = err
		}
	}
	return first
}

// Start forgets everything and takes a prompt for each text, at once. It
// returns the scores (B, V) of the tokens that follow, valid until the next
// call. Prompts may differ in length, which changes nothing for any.
func (d *Decoder) Start(prompts []Sequence) ([]float32, error) {
	if len(prompts) != d.batch {
		return nil, errors.Errorf("flamingo: %d prompts for %d texts", len(prompts), d.batch)
	}
	longest := 0
	for i, q := range prompts {
		if err := d.m.Check(q); err != nil {
			return nil, errors.WithMessagef(err, "prompt %d", i)
		}
		if len(q.IDs) == 0 {
			return nil, errors.Errorf("flamingo: prompt %d is empty", i)
		}
		if len(q.Images) > d.images {
			return nil, errors.Errorf("flamingo: prompt %d has %d images, want at most %d", i, len(q.Images), d.images)
		}
		longest = max(longest, len(q.IDs))
	}
	if longest > d.capacity {
		return nil, errors.Errorf("flamingo: a prompt of %d tokens, want at most %d", longest, d.capacity)
	}
	if err := d.look(prompts); err != nil {
		return nil, err
	}
	p, err := d.passOf(longest)
	if err != nil {
		return nil, err
	}
	clear(d.past)
	clear(p.ids) // what follows a shorter prompt is written over
	clear(p.time)
	for i, q := range prompts {
		n := len(q.IDs)
		p.taken[i], d.seen[i] = n, len(q.Images)
		d.m.fillTokens(q, p.ids[i*longest:][:n], p.time[i*longest:][:n], make([]float32, n))
	}
	return d.run(p)
}

// look computes the keys and values of the prompts' images.
func (d *Decoder) look(prompts []Sequence) error {
	s := d.m.Config.Shape(prompts)
	s.Images = d.images
	in, err := d.m.Batch(prompts, s)
	if err != nil {
		return err
	}
	s.Tokens = 0
	if d.media == nil || d.media.shape != s {
		prog, err := graph.Compile(func(b *graph.Builder) {
			for i, mem := range d.m.memories(b, Objective{d.m, s}.latents(b, d.batch)) {
				b.Output(keysName(i), mem.keys)
				b.Output(valuesName(i), mem.values)
			}
		}, nil)
		if err != nil {
			return err
		}
		if d.media != nil {
			d.media.prog.Close()
		}
		d.media = &mediaPass{s, prog}
	}
	for _, name := range []string{"ids", "time", "target"} {
		delete(in, name)
	}
	if err := d.media.prog.Run(in); err != nil {
		return err
	}
	for _, name := range d.media.prog.Outputs() {
		copy(d.shared[name].Float32s(), d.media.prog.Output(name).Float32s())
	}
	return nil
}

// Next takes one more token of each text, none a media token. It returns the
// scores (B, V) of the tokens that follow, valid until the next call.
func (d *Decoder) Next(ids []int) ([]float32, error) {
	if len(ids) != d.batch {
		return nil, errors.Errorf("flamingo: %d tokens for %d texts", len(ids), d.batch)
	}
	if d.Past() == 0 {
		return nil, errors.New("flamingo: the decoder has taken no prompts")
	}
	for i, id := range ids {
		if id == d.m.Config.Media {
			return nil, errors.Errorf("flamingo: token %d of text %d is a media token without an image", d.past[i], i)
		}
		d.step.ids[i], d.step.time[i] = float32(id), float32(d.seen[i])
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

// run takes the tokens of a pass whose ids and times are set.
func (d *Decoder) run(p *pass) ([]float32, error) {
	if past := d.Past(); past+p.n > d.capacity {
		return nil, errors.Errorf("flamingo: %d tokens after %d, want at most %d", p.n, past, d.capacity)
	}
	for i, past := range d.past {
		d.shared["past"].Float32s()[i], p.last[i] = float32(past), float32(p.taken[i]-1)
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

// reorder makes text i go on from what text from[i] has taken, as many tokens and
// the same images.
func (d *Decoder) reorder(from []int) {
	for _, l := range d.cache.Layers {
		for _, p := range []*graph.Param{l.Keys, l.Values} {
			v := p.Float32s()
			n := len(v) / d.batch
			old := slices.Clone(v)
			for i, j := range from {
				if i != j {
					copy(v[i*n:(i+1)*n], old[j*n:(j+1)*n])
				}
			}
		}
	}
}
