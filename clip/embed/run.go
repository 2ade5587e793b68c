package embed

import (
	"cmp"
	"context"
	"image"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/graph"
	"tessera/train/data"
)

// imageBatch is how many images are embedded at once, at most.
const imageBatch = 16

// Texts gives a unit vector (E) for each text. Texts of about the same length go
// together, so that a short one does not wait for the padding of a long one.
func (m *Model) Texts(ctx context.Context, texts []string) ([][]float32, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	ids, err := m.Encode(texts)
	if err != nil {
		return nil, err
	}
	c := m.CLIP.Config.Text
	ends, order := make([]int, len(ids)), make([]int, len(ids))
	for i, t := range ids {
		ends[i], order[i] = c.End(t), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ends[b], ends[a]) })
	out := make([][]float32, len(texts))
	for len(order) > 0 {
		s := size{length: padded(ends[order[0]]+1, c.Context)} // the longest of those left
		s.n = portion(len(order), textRows/s.length)
		batch := make([][]int, s.n)
		for k, i := range order[:s.n] {
			batch[k] = ids[i]
		}
		x, at, err := c.Texts(batch, s.length)
		if err != nil {
			return nil, err
		}
		rows, err := m.texts.run(ctx, s, graph.Values{"ids": x, "ends": at}, func(b *graph.Builder) *graph.Node {
			return m.CLIP.EncodeText(b, b.Input("ids", s.n, s.length), b.Input("ends", s.n))
		})
		if err != nil {
			return nil, err
		}
		for k, i := range order[:s.n] {
			out[i] = row(rows, k, m.Dim())
		}
		order = order[s.n:]
	}
	return out, nil
}

// textRows are the tokens embedded at once, at most: enough for products to be
// bound by arithmetic.
const textRows = 512

// padded is the length that texts of n tokens are padded to.
func padded(n, context int) int {
	for _, length := range []int{8, 12, 16, 24, 32, 48, 64} {
		if n <= length && length < context {
			return length
		}
	}
	return context
}

// Images gives a unit vector (E) for each image.
func (m *Model) Images(ctx context.Context, images []image.Image) ([][]float32, error) {
	var out [][]float32
	for part := range slices.Chunk(images, imageBatch) {
		pixels, errs := m.prepare(len(part), func(i int) (*data.Image, error) { return data.FromStd(part[i]), nil })
		for i, err := range errs {
			if err != nil {
				return nil, errors.Wrapf(err, "image %d", len(out)+i)
			}
		}
		rows, err := m.embed(ctx, pixels)
		if err != nil {
			return nil, err
		}
		for k := range part {
			out = append(out, row(rows, k, m.Dim()))
		}
	}
	return out, nil
}

// Prepared embeds prepared images (n, C, S, S), as those of a data.Loader. The
// result is n rows of E, of unit length.
func (m *Model) Prepared(ctx context.Context, images *tensor.Dense) ([]float32, error) {
	v := m.CLIP.Config.Vision
	if s := images.Shape(); len(s) != 4 || s[1] != v.Channels || s[2] != v.ImageSize || s[3] != v.ImageSize {
		return nil, errors.Errorf("embed: images have shape %v, want (n, %d, %d, %d)", s, v.Channels, v.ImageSize, v.ImageSize)
	}
	return m.embed(ctx, images.Float32s())
}

// embed is Prepared on plain pixels, n times (C, S, S).
func (m *Model) embed(ctx context.Context, pixels []float32) ([]float32, error) {
	v, each := m.CLIP.Config.Vision, m.pixels()
	rows := make([]float32, 0, len(pixels)/each*m.Dim())
	for len(pixels) > 0 {
		n := portion(len(pixels)/each, imageBatch)
		x := tensor.New(tensor.WithShape(n, v.Channels, v.ImageSize, v.ImageSize), tensor.WithBacking(pixels[:n*each:n*each]))
		part, err := m.images.run(ctx, size{n: n}, graph.Values{"images": x}, func(b *graph.Builder) *graph.Node {
			return m.CLIP.EncodeImage(b, b.Input("images", n, v.Channels, v.ImageSize, v.ImageSize))
		})
		if err != nil {
			return nil, err
		}
		rows, pixels = append(rows, part...), pixels[n*each:]
	}
	return rows, nil
}

// pixels are the numbers of a prepared image.
func (m *Model) pixels() int {
	v := m.CLIP.Config.Vision
	return v.Channels * v.ImageSize * v.ImageSize
}

// prepare makes input (n, C, S, S) of n images, on all processors.
func (m *Model) prepare(n int, read func(i int) (*data.Image, error)) (pixels []float32, errs []error) {
	each := m.pixels()
	pixels, errs = make([]float32, n*each), make([]error, n)
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range n {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			im, err := read(i)
			if err == nil {
				im, err = m.Input.Apply(im)
			}
			if err == nil {
				err = m.Input.Normalize(pixels[i*each:][:each], im)
			}
			errs[i] = err
		})
	}
	wait.Wait()
	return pixels, errs
}

// row is a copy of row k of n values.
func row(rows []float32, k, n int) []float32 { return slices.Clone(rows[k*n:][:n]) }

// portion is how many of n are embedded next: the greatest of few sizes, for each
// takes a program.
func portion(n, most int) int {
	for _, size := range []int{32, 16, 4} {
		if size <= min(n, most) {
			return size
		}
	}
	return 1
}

// size is what a program is made for.
type size struct {
	n      int // images or texts
	length int // of texts
}

// programs embed batches of the sizes last seen. There is one batch at a time:
// it takes all processors.
type programs struct {
	turn chan struct{} // held by who runs one
	kept int
	last []program // the one used last at the end
}

type program struct {
	size
	*graph.Program
}

// keptBytes bounds the weights that the programs of one tower pack, each its own.
const keptBytes = 1 << 30

// newPrograms is for the tower whose parameters' names begin with prefix.
func newPrograms(m *clip.Model, prefix string) programs {
	packed := 1
	for p := range m.Params().All() {
		if strings.HasPrefix(p.Name, prefix) && !strings.Contains(p.Name, "embeddings") {
			packed += 4 * p.Shape().TotalSize()
		}
	}
	return programs{turn: make(chan struct{}, 1), kept: min(max(3, keptBytes/packed), 32)}
}

// run gives the output of a program for batches of the size, which build makes
// if none is left of before.
func (p *programs) run(ctx context.Context, s size, in graph.Values, build func(*graph.Builder) *graph.Node) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, errors.WithStack(err)
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, errors.WithStack(ctx.Err())
	}
	if i := slices.IndexFunc(p.last, func(x program) bool { return x.size == s }); i >= 0 {
		x := p.last[i]
		p.last = append(slices.Delete(p.last, i, i+1), x)
	} else {
		if len(p.last) == p.kept {
			old := p.last[0]
			p.last = slices.Delete(p.last, 0, 1)
			if err := old.Close(); err != nil {
				return nil, err
			}
		}
		made, err := graph.Compile(func(b *graph.Builder) { b.Output("rows", build(b)) }, &graph.Options{Fixed: true})
		if err != nil {
			return nil, err
		}
		p.last = append(p.last, program{s, made})
	}
	x := p.last[len(p.last)-1]
	if err := x.Run(in); err != nil {
		return nil, err
	}
	return slices.Clone(x.Output("rows").Float32s()), nil
}

func (p *programs) close() error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	var first error
	for _, x := range p.last {
		if err := x.Close(); err != nil && first == nil {
			first = err
		}
	}
	p.last = nil
	return first
}
