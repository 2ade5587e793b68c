package dalle

import (
	"math"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/layers"
)

// A Decoder predicts the tokens of a batch of images, one after another, with
// cached keys and values: a step costs one token's pass, not that of the whole
// sequence. It serves one caller at a time. The model's parameters must not
// change while it lives.
type Decoder struct {
	m      *Model
	batch  int // B
	cache  *layers.Cache
	past   int          // tokens taken, of text and image
	mask   []float32    // (B, T+N−1)
	step   *pass        // of one image token
	prompt *pass        // of the texts and as many image tokens as last time
	shared graph.Values // inputs of all passes
}

// NewDecoder makes a decoder of batch images.
func (m *Model) NewDecoder(batch int) (*Decoder, error) {
	if batch < 1 {
		return nil, errors.Errorf("dalle: %d images, want at least one", batch)
	}
	M := m.sequence()
	d := &Decoder{
		m: m, batch: batch,
		cache: layers.NewCache(layers.CacheConfig{Layers: m.Layers, Batch: batch, Heads: m.Heads, Tokens: M, Width: m.Width}),
		mask:  make([]float32, batch*M),
	}
	d.shared = graph.Values{"past": tensor.New(tensor.WithShape(1), tensor.Of(tensor.Float32))}
	if m.Padding != NoPadding {
		d.shared["mask"] = tensor.New(tensor.WithShape(batch, M), tensor.WithBacking(d.mask))
	}
	var err error
	d.step, err = d.compile(0, 1)
	return d, err
}

// pass is the program that takes the texts, or not, and the next n image tokens.
type pass struct {
	texts, n int // tokens of each
	prog     *graph.Program
	in       graph.Values
	text     []float32 // (B, T)
	image    []float32 // (B, n)
	at       []float32 // (n), places
}

func (d *Decoder) compile(texts, n int) (*pass, error) {
	p := &pass{texts: texts, n: n, in: graph.Values{}}
	input := func(name string, shape ...int) []float32 {
		v := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
		p.in[name] = v
		return v.Float32s()
	}
	if texts > 0 {
		p.text = input("text", d.batch, texts)
	}
	if n > 0 {
		p.image, p.at = input("image", d.batch, n), input("place", n)
	}
	for name, v := range d.shared {
		p.in[name] = v
	}
	// A step reads all weights for little work, so packing them once pays. The
	// texts are one run.
	var err error
	p.prog, err = graph.Compile(func(b *graph.Builder) { b.Output("logits", d.logits(b, texts, n)) }, &graph.Options{Fixed: texts == 0})
	return p, err
}

// logits maps the next tokens to the scores (B, V) of the image token that
// follows them.
func (d *Decoder) logits(b *graph.Builder, texts, n int) *graph.Node {
	m := d.m
	past := layers.Past{Tokens: b.Input("past", 1)}
	if !m.Causal() {
		past.Prefix = m.TextTokens
	}
	if m.Padding != NoPadding {
		past.Mask = b.Input("mask", d.batch, m.sequence())
	}
	var parts []*graph.Node
	if texts > 0 {
		parts = append(parts, m.embedText(b, b.Input("text", d.batch, texts)))
	}
	if n > 0 {
		parts = append(parts, m.embedImage(b, b.Input("image", d.batch, n), b.Input("place", n)))
	}
	x := b.Concat(1, parts...)
	for i, k := range m.Blocks {
		x = k.Cached(b, x, d.cache.Layers[i], past)
	}
	return m.Head.Forward(b, m.Norm.Forward(b, b.At(x, 1, texts+n-1)))
}

// Past is the number of image tokens taken, the same for all images.
func (d *Decoder) Past() int { return max(0, d.past-d.m.TextTokens) }

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

// Start forgets everything and takes a text for each image, shorter ones being
// padded, and the tokens that begin each image, equally many and fewer than N;
// nil begins with none. It returns the scores (B, V) of the tokens that follow,
// valid until the next call.
func (d *Decoder) Start(texts, images [][]int) ([]float32, error) {
	m := d.m
	if len(texts) != d.batch {
		return nil, errors.Errorf("dalle: %d texts for %d images", len(texts), d.batch)
	}
	n, err := d.begun(images)
	if err != nil {
		return nil, err
	}
	p := d.prompt
	if p == nil || p.n != n {
		if p, err = d.compile(m.TextTokens, n); err != nil {
			return nil, err
		}
		if d.prompt != nil {
			d.prompt.prog.Close()
		}
		d.prompt = p
	}
	d.past = 0
	clear(d.mask)
	T, M := m.TextTokens, m.sequence()
	for i, ids := range texts {
		row := p.text[i*T : (i+1)*T]
		if err := m.FillText(row, ids); err != nil {
			return nil, errors.Wrapf(err, "text %d", i)
		}
		for j, id := range row {
			if int(id) == m.Padding {
				d.mask[i*M+j] = float32(math.Inf(-1))
			}
		}
	}
	for i := range images {
		for j, id := range images[i] {
			p.image[i*n+j] = float32(id)
		}
	}
	return d.run(p)
}

// begun is how many tokens begin each image.
func (d *Decoder) begun(images [][]int) (int, error) {
	if images == nil {
		return 0, nil
	}
	if len(images) != d.batch {
		return 0, errors.Errorf("dalle: the beginnings of %d images, want %d", len(images), d.batch)
	}
	n := len(images[0])
	if n >= d.m.ImageTokens {
		return 0, errors.Errorf("dalle: images begin with %d tokens, want less than %d", n, d.m.ImageTokens)
	}
	for i, ids := range images {
		if len(ids) != n {
			return 0, errors.Errorf("dalle: image %d begins with %d tokens, image 0 with %d", i, len(ids), n)
		}
	}
	return n, nil
}

// Next takes one more token of each image. It returns the scores (B, V) of the
// tokens that follow, valid until the next call.
func (d *Decoder) Next(ids []int) ([]float32, error) {
	if len(ids) != d.batch {
		return nil, errors.Errorf("dalle: %d tokens for %d images", len(ids), d.batch)
	}
	if d.past < d.m.TextTokens {
		return nil, errors.New("dalle: the decoder has taken no texts")
	}
	for i, id := range ids {
		d.step.image[i] = float32(id)
	}
	return d.run(d.step)
}

// run takes the tokens of a pass whose ids are set.
func (d *Decoder) run(p *pass) ([]float32, error) {
	if d.past+p.texts+p.n > d.m.sequence() {
		return nil, errors.Errorf("dalle: %d tokens after %d of an image, want at most %d", p.n, d.Past(), d.m.ImageTokens-1)
	}
	for j := range p.at {
		p.at[j] = float32(d.Past() + j)
	}
	d.shared["past"].Float32s()[0] = float32(d.past)
	if err := p.prog.Run(p.in); err != nil {
		return nil, err
	}
	d.past += p.texts + p.n
	return p.prog.Output("logits").Float32s(), nil
}
