package embed

import (
	"context"
	"image"
	"math/bits"
	"runtime"
	"slices"
	"sync"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/train/data"
)

const (
	imageBatch = 16 // images that are embedded at once
	textBatch  = 32 // texts
	textStep   = 4  // lengths in tokens are rounded up to its multiples, for fewer programs
)

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
	byLength := map[int][]int{}
	for i, t := range ids {
		byLength[c.End(t)/textStep] = append(byLength[c.End(t)/textStep], i)
	}
	out := make([][]float32, len(texts))
	for length, members := range byLength {
		for len(members) > 0 {
			n := portion(len(members), textBatch)
			batch := make([][]int, n)
			for k, i := range members[:n] {
				batch[k] = ids[i]
			}
			rows, err := m.texts.run(ctx, size{n, length}, func(e *clip.Encoder) ([]float32, error) { return e.Texts(batch) })
			if err != nil {
				return nil, err
			}
			for k, i := range members[:n] {
				out[i] = row(rows, k, m.Dim())
			}
			members = members[n:]
		}
	}
	return out, nil
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
		part, err := m.images.run(ctx, size{n: n}, func(e *clip.Encoder) ([]float32, error) { return e.Images(x) })
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

// portion is how many of n are embedded next: the greatest power of two, so that
// few sizes occur, each of which takes a program.
func portion(n, most int) int { return min(most, 1<<(bits.Len(uint(n))-1)) }

// size is what a program is made for.
type size struct {
	n      int // images or texts
	length int // of texts
}

// programs embed batches of the sizes last seen. There is one batch at a time:
// it takes all processors.
type programs struct {
	turn chan struct{} // held by who runs one
	clip *clip.Model
	kept int
	last []program // the one used last at the end
}

type program struct {
	size
	*clip.Encoder
}

// keptBytes bounds the weights that the programs of one tower pack, each its own.
const keptBytes = 1 << 30

func newPrograms(m *clip.Model) programs {
	tower := max(1, m.Params().Size()*4/2) // about half of the model
	return programs{turn: make(chan struct{}, 1), clip: m, kept: min(max(2, keptBytes/tower), 32)}
}

// run calls f with an encoder that has seen nothing but batches of the size.
func (p *programs) run(ctx context.Context, s size, f func(*clip.Encoder) ([]float32, error)) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, errors.WithStack(err)
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, errors.WithStack(ctx.Err())
	}
	x := program{s, nil}
	if i := slices.IndexFunc(p.last, func(x program) bool { return x.size == s }); i >= 0 {
		x = p.last[i]
		p.last = slices.Delete(p.last, i, i+1)
	} else {
		x.Encoder = clip.NewEncoder(p.clip)
	}
	p.last = append(p.last, x)
	if len(p.last) > p.kept {
		old := p.last[0]
		p.last = slices.Delete(p.last, 0, 1)
		if err := old.Close(); err != nil {
			return nil, err
		}
	}
	return f(x.Encoder)
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
