package flamingo

import (
	"fmt"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/layers"
)

// A Decoder predicts tokens one after another for a batch of texts with images.
// It caches keys and values of tokens and of images, so a step costs one
// token's pass and looks at no patch. It serves one caller at a time. The
// model's parameters must not change while it lives.
type Decoder struct {
	m      *Model
	batch  int // B
	images int // T
	cache  *layers.Cache
	seen   []int // images of each text
	passes *layers.Passes
	media  *mediaPass
	keep   graph.Values // keys and values of images
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
		m: m, batch: batch, images: max(1, images), seen: make([]int, batch), keep: graph.Values{},
		cache: layers.NewCache(layers.CacheConfig{Layers: c.Layers, Batch: batch, Heads: c.Heads, Tokens: capacity, Width: c.Width}),
	}
	for i := range m.Gated {
		for _, name := range []string{keysName(i), valuesName(i)} {
			d.keep[name] = tensor.New(tensor.WithShape(d.memoryShape()...), tensor.Of(tensor.Float32))
		}
	}
	var err error
	d.passes, err = layers.NewPasses(layers.PassesConfig{
		Batch: batch, Tokens: capacity, Inputs: []string{"time"}, Shared: d.keep, Logits: d.logits,
	})
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

// logits maps the next tokens of each text to the scores (B, V) of the token that
// follows them.
func (d *Decoder) logits(b *graph.Builder, t layers.Next) *graph.Node {
	m := d.m
	mem := map[int]memory{}
	for i := range m.Language.Blocks {
		if _, ok := m.Gated[i]; ok {
			mem[i] = memory{b.Input(keysName(i), d.memoryShape()...), b.Input(valuesName(i), d.memoryShape()...)}
		}
	}
	seen := mediaMask(b, b.Input("time", d.batch, t.N), d.images, m.Config.Resampler.Latents, m.Immediate)
	x := m.blocks(b, m.embed(b, t.IDs, t.Places), mem, seen, func(i int, x *graph.Node) *graph.Node {
		return m.Language.Blocks[i].Cached(b, x, d.cache.Layers[i], t.Past)
	})
	return m.head(b, t.Last(b, x))
}

// Past is the number of tokens taken of the longest text.
func (d *Decoder) Past() int { return slices.Max(d.passes.Past()) }

// Close frees the programs.
func (d *Decoder) Close() error {
	err := d.passes.Close()
	if d.media != nil {
		if e := d.media.prog.Close(); err == nil {
			err = e
		}
	}
	return err
}

// Start forgets everything and takes a prompt for each text, at once. It
// returns the scores (B, V) of the tokens that follow, valid until the next
// call. Prompts may differ in length, which changes nothing for any.
func (d *Decoder) Start(prompts []Sequence) ([]float32, error) {
	if len(prompts) != d.batch {
		return nil, errors.Errorf("flamingo: %d prompts for %d texts", len(prompts), d.batch)
	}
	lengths := make([]int, d.batch)
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
		lengths[i] = len(q.IDs)
	}
	p, err := d.passes.Prompt(lengths)
	if err != nil {
		return nil, errors.WithMessage(err, "flamingo")
	}
	if err := d.look(prompts); err != nil {
		return nil, err
	}
	for i, q := range prompts {
		d.seen[i] = len(q.Images)
		d.m.fillTokens(q, p.Row("ids", i), p.Row("time", i), make([]float32, len(q.IDs)))
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
		copy(d.keep[name].Float32s(), d.media.prog.Output(name).Float32s())
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
	p := d.passes.Step()
	for i, id := range ids {
		if id == d.m.Config.Media {
			return nil, errors.Errorf("flamingo: token %d of text %d is a media token without an image", d.passes.Past()[i], i)
		}
		p.Row("ids", i)[0], p.Row("time", i)[0] = float32(id), float32(d.seen[i])
	}
	return d.run(p)
}

func (d *Decoder) run(p *layers.Pass) ([]float32, error) {
	logits, err := d.passes.Run(p)
	return logits, errors.WithMessage(err, "flamingo")
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
