package clip

import (
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

// Cached computes the loss and the gradients of a batch in chunks, exactly: no
// chunk is an approximation of the batch, as an accumulated average would be.
// It embeds chunk by chunk, differentiates the loss by the embeddings, a chunk
// of rows at a time, and sends those gradients through the towers of each chunk
// (arXiv:2101.06983). Its activations take the memory of one chunk, for a
// second forward pass.
type Cached struct {
	Objective
	batch, chunk int

	embed *graph.Program // features of a chunk
	rows  *graph.Program // loss of a chunk of features against all
	back  *graph.Program // gradients of a chunk by those of its features

	images, texts     features
	chunked, opposite *graph.Param // the features that rows is about
	sums              map[*graph.Param][]float64
	grads             []graph.Grad
	step              uint64
}

// features are the embeddings (n, E) of a batch, and the gradient of the loss
// by them.
type features struct{ value, grad []float64 }

// NewCached compiles the programs for batches of n pairs in chunks, which
// divide n. seed is that of dropout.
func NewCached(o Objective, n, chunk int, seed uint64) (*Cached, error) {
	if chunk < 1 || n < 1 || n%chunk != 0 {
		return nil, errors.Errorf("clip: a batch of %d in chunks of %d, want chunks that divide it", n, chunk)
	}
	E := o.ProjectionDim
	s := graph.NewScope(graph.Seed(0))
	c := &Cached{
		Objective: o, batch: n, chunk: chunk,
		chunked:  s.Param("chunk", graph.Zeros, chunk, E),
		opposite: s.Param("opposite", graph.Zeros, n, E),
		images:   features{make([]float64, n*E), make([]float64, n*E)},
		texts:    features{make([]float64, n*E), make([]float64, n*E)},
		sums:     map[*graph.Param][]float64{},
	}
	dt := o.LogitScale.Value.Dtype()
	if err := s.Params().Convert(dt); err != nil {
		return nil, err
	}
	options := &graph.Options{Training: true, Seed: seed, Dtype: dt}
	for _, p := range []struct {
		to    **graph.Program
		build func(b *graph.Builder)
	}{{&c.embed, c.buildEmbed}, {&c.rows, c.buildRows}, {&c.back, c.buildBack}} {
		var err error
		if *p.to, err = graph.Compile(p.build, options); err != nil {
			c.Close()
			return nil, err
		}
	}
	for p := range o.Params().Trained() {
		v := tensor.New(tensor.WithShape(p.Value.Shape()...), tensor.Of(dt))
		c.grads = append(c.grads, graph.Grad{Param: p, Value: v})
		c.sums[p] = make([]float64, v.Shape().TotalSize())
	}
	return c, nil
}

func (c *Cached) buildEmbed(b *graph.Builder) {
	images, texts := c.Objective.embed(b, c.chunk)
	b.Output("image", images)
	b.Output("text", texts)
}

// buildRows is the part of the loss that belongs to a chunk of rows: of both
// directions for InfoNCE, where texts are rows as well as images.
func (c *Cached) buildRows(b *graph.Builder) {
	logits := c.Logits(b, b.Param(c.chunked), b.Param(c.opposite))
	match := Matches(b, b.Input("label", c.chunk), b.Input("labels", c.batch))
	share := float64(c.chunk) / float64(c.batch)
	loss := b.Scale(c.rowLoss(b, logits, match), share)
	b.Output("loss", loss)
	b.Minimize(loss)
}

// rowLoss is the loss of rows of logits alone.
func (c *Cached) rowLoss(b *graph.Builder, logits, match *graph.Node) *graph.Node {
	if c.LogitBias != nil {
		return SigLIP(b, logits, match)
	}
	return b.Scale(b.CrossEntropy(logits, Shares(b, match)), 0.5)
}

func (c *Cached) buildBack(b *graph.Builder) {
	images, texts := c.Objective.embed(b, c.chunk)
	E := c.ProjectionDim
	b.Minimize(b.Add(
		b.Inner(images, b.Input("image_grad", c.chunk, E)),
		b.Inner(texts, b.Input("text_grad", c.chunk, E)),
	))
}

// SetStep chooses the random numbers of dropout for the next run.
func (c *Cached) SetStep(step uint64) { c.step = step }

// Run computes the gradients for the inputs of Objective.Loss and returns the
// loss.
func (c *Cached) Run(batch graph.Values) (loss float64, err error) {
	for name, v := range batch {
		if s := v.Shape(); len(s) == 0 || s[0] != c.batch || v.Dtype() != tensor.Float32 {
			return 0, errors.Errorf("clip: input %q has shape %v of %v, want %d pairs of float32", name, s, v.Dtype(), c.batch)
		}
	}
	labels := batch["label"]
	if c.Labels != (labels != nil) {
		return 0, errors.Errorf("clip: labels are given: %t, but used: %t", labels != nil, c.Labels)
	}
	if labels == nil {
		labels = numbered(c.batch)
	}
	c.clear()
	if err := c.embedAll(batch); err != nil {
		return 0, err
	}
	if loss, err = c.compare(&c.images, &c.texts, labels); err != nil {
		return 0, err
	}
	if c.LogitBias == nil {
		other, err := c.compare(&c.texts, &c.images, labels)
		if err != nil {
			return 0, err
		}
		loss += other
	}
	if err := c.backward(batch); err != nil {
		return 0, err
	}
	for _, g := range c.grads {
		assign(g.Value, c.sums[g.Param])
	}
	return loss, nil
}

// numbered gives every pair a label of its own.
func numbered(n int) *tensor.Dense {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)
	}
	return tensor.New(tensor.WithShape(n), tensor.WithBacking(v))
}

func (c *Cached) clear() {
	clear(c.images.grad)
	clear(c.texts.grad)
	for _, sum := range c.sums {
		clear(sum)
	}
}

// embedAll fills the features of the batch.
func (c *Cached) embedAll(batch graph.Values) error {
	k := c.chunk * c.ProjectionDim
	for i := range c.batch / c.chunk {
		c.embed.SetStep(c.noise(i))
		if err := c.embed.Run(c.part(batch, i)); err != nil {
			return err
		}
		read(c.images.value[i*k:][:k], c.embed.Output("image"))
		read(c.texts.value[i*k:][:k], c.embed.Output("text"))
	}
	return nil
}

// compare adds up the loss of x's rows against all of y, and its gradients.
func (c *Cached) compare(x, y *features, labels *tensor.Dense) (loss float64, err error) {
	k := c.chunk * c.ProjectionDim
	assign(c.opposite.Value, y.value)
	for i := range c.batch / c.chunk {
		assign(c.chunked.Value, x.value[i*k:][:k])
		if err := c.rows.Run(graph.Values{"label": slice(labels, i, c.chunk), "labels": labels}); err != nil {
			return 0, err
		}
		loss += c.rows.Scalar("loss")
		for _, g := range c.rows.Grads() {
			switch g.Param {
			case c.chunked:
				add(x.grad[i*k:][:k], g.Value)
			case c.opposite:
				add(y.grad, g.Value)
			default:
				add(c.sums[g.Param], g.Value)
			}
		}
	}
	return loss, nil
}

// backward sends the gradients of the features through the towers.
func (c *Cached) backward(batch graph.Values) error {
	E := c.ProjectionDim
	k := c.chunk * E
	for i := range c.batch / c.chunk {
		in := c.part(batch, i)
		for name, grad := range map[string][]float64{"image_grad": c.images.grad, "text_grad": c.texts.grad} {
			in[name] = tensor.New(tensor.WithShape(c.chunk, E), tensor.WithBacking(slices.Clone(grad[i*k:][:k])))
		}
		c.back.SetStep(c.noise(i))
		if err := c.back.Run(in); err != nil {
			return err
		}
		for _, g := range c.back.Grads() {
			add(c.sums[g.Param], g.Value)
		}
	}
	return nil
}

// noise numbers the random numbers of chunk i, equal in both passes.
func (c *Cached) noise(i int) uint64 { return c.step*uint64(c.batch/c.chunk) + uint64(i) }

// part is chunk i of a batch, without labels.
func (c *Cached) part(batch graph.Values, i int) graph.Values {
	in := graph.Values{}
	for name, v := range batch {
		if name != "label" {
			in[name] = slice(v, i, c.chunk)
		}
	}
	return in
}

// slice is chunk i of n rows of a float32 tensor, which it shares.
func slice(v *tensor.Dense, i, n int) *tensor.Dense {
	s := slices.Clone(v.Shape())
	k := v.Shape().TotalSize() / s[0] * n
	s[0] = n
	return tensor.New(tensor.WithShape(s...), tensor.WithBacking(v.Float32s()[i*k:][:k]))
}

// Grads returns the gradients of the last run, overwritten by the next.
func (c *Cached) Grads() []graph.Grad { return c.grads }

// Usage tells how many bytes the results of operations take, and the work of a
// batch: every chunk is embedded twice.
func (c *Cached) Usage() op.Usage {
	var u op.Usage
	chunks := int64(c.batch / c.chunk)
	for _, p := range []struct {
		usage op.Usage
		runs  int64
	}{{c.embed.Usage(), chunks}, {c.rows.Usage(), chunks}, {c.back.Usage(), chunks}} {
		u.Results += p.usage.Results
		u.Live += p.usage.Live
		u.Buffers += p.usage.Buffers
		u.FLOPs += p.runs * p.usage.FLOPs
	}
	return u
}

// Close frees what the programs hold.
func (c *Cached) Close() error {
	var first error
	for _, p := range []*graph.Program{c.embed, c.rows, c.back} {
		if p == nil {
			continue
		}
		if err := p.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func read(dst []float64, src *tensor.Dense) { clear(dst); add(dst, src) }

// add keeps sums in double: many chunks add up.
func add(dst []float64, src *tensor.Dense) {
	switch src := src.Data().(type) {
	case []float32:
		for i, v := range src {
			dst[i] += float64(v)
		}
	case []float64:
		for i, v := range src {
			dst[i] += v
		}
	}
}

func assign(dst *tensor.Dense, src []float64) {
	switch dst := dst.Data().(type) {
	case []float32:
		for i, v := range src {
			dst[i] = float32(v)
		}
	case []float64:
		copy(dst, src)
	}
}
