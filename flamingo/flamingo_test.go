package flamingo

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/graph/graphtest"
)

// small is a configuration of odd sizes.
func small() Config {
	text := gpt2.Small()
	text.VocabSize, text.Context, text.Width, text.Layers, text.Heads = 23, 20, 12, 3, 3
	c := For(text, 6)
	c.Resampler = ResamplerConfig{Depth: 2, Latents: 3, Heads: 2, HeadWidth: 5, Mult: 2}
	c.Cross = CrossConfig{Heads: 2, HeadWidth: 3, Mult: 2}
	return c
}

// random is a model of random values, gates included.
func random(t testing.TB, c Config) *Model {
	t.Helper()
	m, err := New(c, graph.Seed(4))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for p := range m.Params().All() {
		for i := range p.Float32s() {
			p.Float32s()[i] += 0.2 * float32(r.NormFloat64())
		}
	}
	for _, k := range m.Gated {
		k.AttentionGate.Float32s()[0], k.FeedGate.Float32s()[0] = 0.8, -0.6
	}
	return m
}

// picture makes an image of random patches.
func picture(r *rand.Rand, c Config, frames, patches int) Image {
	im := Image{Frames: frames, Patches: make([]float32, frames*patches*c.Vision)}
	for i := range im.Patches {
		im.Patches[i] = float32(r.NormFloat64())
	}
	return im
}

// interleaved is a text of n tokens with images at the given places.
func interleaved(r *rand.Rand, c Config, n int, at ...int) Sequence {
	s := Sequence{IDs: make([]int, n)}
	for i := range s.IDs {
		s.IDs[i] = r.IntN(c.Text.VocabSize)
	}
	for _, i := range at {
		s.IDs[i] = c.Media
		s.Images = append(s.Images, picture(r, c, 1, 4))
	}
	return s
}

// logits computes the scores (B, L, V) of sequences.
func logits(t testing.TB, m *Model, sequences ...Sequence) []float32 {
	t.Helper()
	s := m.Config.Shape(sequences)
	in, err := m.Batch(sequences, s)
	if err != nil {
		t.Fatal(err)
	}
	delete(in, "target")
	n := len(sequences)
	prog, err := graph.Compile(func(b *graph.Builder) {
		latents := Objective{m, s}.latents(b, n)
		b.Output("logits", m.Logits(b, b.Input("ids", n, s.Tokens), b.Input("time", n, s.Tokens), latents))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	if err := prog.Run(in); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(prog.Output("logits").Float32s())
}

// row is row i of scores of a vocabulary.
func row(c Config, logits []float32, i int) []float32 {
	V := c.Vocabulary()
	return logits[i*V : (i+1)*V]
}

func difference(x, y []float32) float64 {
	worst := 0.0
	for i := range x {
		worst = max(worst, math.Abs(float64(x[i]-y[i])))
	}
	return worst
}

func TestClosedGatesLeaveTheLanguageModel(t *testing.T) {
	for _, every := range []int{1, 2} {
		c := small()
		c.Every = every
		m := random(t, c)
		for _, k := range m.Gated {
			clear(k.AttentionGate.Float32s())
			clear(k.FeedGate.Float32s())
		}
		lm, err := gpt2.New(c.Text, graph.Seed(1))
		if err != nil {
			t.Fatal(err)
		}
		for p := range lm.Params().All() {
			copy(p.Float32s(), m.Params().Get(language+"."+p.Name).Float32s())
		}
		s := interleaved(rand.New(rand.NewPCG(1, 2)), c, 9)
		got := logits(t, m, s)
		prog, err := graph.Compile(func(b *graph.Builder) { b.Output("logits", lm.Logits(b, b.Input("ids", 1, 9))) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		in, err := m.Batch([]Sequence{s}, Shape{Tokens: 9, Images: 1, Frames: 1, Patches: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := prog.Run(graph.Values{"ids": in["ids"]}); err != nil {
			t.Fatal(err)
		}
		V := c.Text.VocabSize
		for i := range 9 {
			want := prog.Output("logits").Float32s()[i*V : (i+1)*V]
			if !slices.Equal(row(c, got, i)[:V], want) {
				t.Errorf("every %d: row %d is off by %g, want equal bytes", every, i, difference(row(c, got, i)[:V], want))
			}
		}
	}
}

// Within a gated block an image reaches only the tokens from its own to the
// next; from there on, the language model carries it further.
func TestImageReachesItsText(t *testing.T) {
	c := small()
	m := random(t, c)
	r := rand.New(rand.NewPCG(3, 4))
	s := interleaved(r, c, 12, 2, 7)
	changed := s
	changed.Images = []Image{picture(r, c, 1, 4), s.Images[1]}

	before, after := gatedRows(t, m, s), gatedRows(t, m, changed)
	D := c.Text.Width
	for i := range 12 {
		equal := slices.Equal(before[i*D:(i+1)*D], after[i*D:(i+1)*D])
		if inside := i >= 2 && i < 7; equal == inside {
			t.Errorf("gated block: row %d is unchanged: %t, want %t", i, equal, !inside)
		}
	}
	x, y := logits(t, m, s), logits(t, m, changed)
	for i := range 12 {
		if equal := slices.Equal(row(c, x, i), row(c, y, i)); equal != (i < 2) {
			t.Errorf("model: row %d is unchanged: %t, want %t", i, equal, i < 2)
		}
	}
}

func TestRowsBeforeTheFirstImageSeeNone(t *testing.T) {
	for _, immediate := range []bool{true, false} {
		c := small()
		c.Immediate = immediate
		prog, err := graph.Compile(func(b *graph.Builder) {
			b.Output("mask", mediaMask(b, b.Input("time", 1, 4), 3, 2, immediate))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		time := tensor.New(tensor.WithShape(1, 4), tensor.WithBacking([]float32{0, 1, 2, 3}))
		if err := prog.Run(graph.Values{"time": time}); err != nil {
			t.Fatal(err)
		}
		for i, v := range prog.Output("mask").Float32s() {
			time, image := i/6, i%6/2+1
			if seen, want := v == 0, image == time || !immediate && image <= time; seen != want {
				t.Errorf("immediate %t: a token after %d images sees image %d: %t, want %t", immediate, time, image, seen, want)
			}
		}
	}
}

// Without vectors that tell them apart, images are a set.
func TestSwappedImages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		times int
		same  bool
	}{{"without time embeddings", 0, true}, {"with time embeddings", 2, false}} {
		c := small()
		c.Immediate, c.Resampler.MaxImages = false, tt.times
		m := random(t, c)
		r := rand.New(rand.NewPCG(5, 6))
		s := interleaved(r, c, 8, 0, 1)
		swapped := s
		swapped.Images = []Image{s.Images[1], s.Images[0]}
		x, y := logits(t, m, s), logits(t, m, swapped)
		// The first media token sees one image only, and later ones see that
		// token: rows are compared before the language model mixes them.
		got := gatedRows(t, m, s)
		want := gatedRows(t, m, swapped)
		D := c.Text.Width
		d := difference(got[D:], want[D:])
		if same := d < 1e-5; same != tt.same {
			t.Errorf("%s: rows that see both images change by %g, want equal: %t", tt.name, d, tt.same)
		}
		if difference(row(c, x, 0), row(c, y, 0)) < 1e-5 {
			t.Errorf("%s: the row that sees the first image alone is unchanged", tt.name)
		}
	}
}

// gatedRows is text (L, D) after the first gated block.
func gatedRows(t *testing.T, m *Model, s Sequence) []float32 {
	t.Helper()
	shape := m.Config.Shape([]Sequence{s})
	in, err := m.Batch([]Sequence{s}, shape)
	if err != nil {
		t.Fatal(err)
	}
	delete(in, "target")
	prog, err := graph.Compile(func(b *graph.Builder) {
		x := m.embed(b, b.Input("ids", 1, shape.Tokens), b.Const(make([]float64, shape.Tokens), shape.Tokens))
		mem := m.memories(b, Objective{m, shape}.latents(b, 1))
		mask := mediaMask(b, b.Input("time", 1, shape.Tokens), shape.Images, m.Config.Resampler.Latents, m.Immediate)
		b.Output("text", m.Gated[0].forward(b, x, mem[0], mask))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	if err := prog.Run(in); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(prog.Output("text").Float32s())
}

// Padding changes nothing: neither of texts, nor of the number of images, nor
// of their frames and patches.
func TestBatchEqualsRows(t *testing.T) {
	c := small()
	c.Resampler.MaxImages, c.Resampler.MaxFrames = 3, 4
	m := random(t, c)
	r := rand.New(rand.NewPCG(7, 8))
	batch := []Sequence{
		interleaved(r, c, 11, 1, 4, 8), interleaved(r, c, 5), interleaved(r, c, 7, 0), interleaved(r, c, 1),
	}
	batch[0].Images[1] = picture(r, c, 3, 4)
	batch[2].Images[0] = picture(r, c, 2, 7)
	all := logits(t, m, batch...)
	L := c.Shape(batch).Tokens
	for i, s := range batch {
		one := logits(t, m, s)
		for j := range s.IDs {
			if d := difference(row(c, all, i*L+j), row(c, one, j)); d > 1e-5 {
				t.Errorf("sequence %d: row %d differs by %g in a batch", i, j, d)
			}
		}
	}
}

func TestTargets(t *testing.T) {
	c := small()
	s := Sequence{
		IDs:    []int{c.Media, 5, 6, 7, c.EndChunk, c.Media, 8, c.EndChunk},
		Images: []Image{picture(rand.New(rand.NewPCG(1, 1)), c, 1, 4), picture(rand.New(rand.NewPCG(1, 2)), c, 1, 4)},
		Learn:  []bool{true, false, false, true, true, true, true, true},
	}
	in, err := c.Batch([]Sequence{s}, Shape{Tokens: 10, Images: 2, Frames: 1, Patches: 4})
	if err != nil {
		t.Fatal(err)
	}
	end := float32(c.EndChunk)
	for name, want := range map[string][]float32{
		"target": {-1, -1, 7, end, -1, 8, end, -1, -1, -1},
		"time":   {1, 1, 1, 1, 1, 2, 2, 2, 2, 2},
	} {
		if got := in[name].Float32s(); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := in["ids"].Float32s()[8:]; got[0] != float32(c.Padding) || got[1] != float32(c.Padding) {
		t.Errorf("ids end with %v, want padding", got)
	}
}

func TestBatchErrors(t *testing.T) {
	c := small()
	c.Resampler.MaxImages, c.Resampler.MaxFrames = 2, 2
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name   string
		change func(s *Sequence)
		want   string
	}{
		{"an image without token", func(s *Sequence) { s.IDs[3] = 1 }, "1 media tokens for 2 images"},
		{"a token without image", func(s *Sequence) { s.Images = s.Images[:1] }, "2 media tokens for 1 images"},
		{"no such token", func(s *Sequence) { s.IDs[1] = 26 }, "token 1 is 26, want 0 to 25"},
		{"too many frames", func(s *Sequence) { s.Images[1] = picture(r, c, 3, 4) }, "image 1 has 3 frames, want at most 2"},
		{"no frames", func(s *Sequence) { s.Images[0].Frames = 0 }, "has 0 frames"},
		{"half a patch", func(s *Sequence) { s.Images[0].Patches = make([]float32, 9) }, "9 values, want 1 frames of patches of 6"},
		{"too many images", func(s *Sequence) { s.IDs[1], s.Images = c.Media, append(s.Images, s.Images[0]) }, "3 images, want at most 2"},
		{"marks", func(s *Sequence) { s.Learn = make([]bool, 2) }, "2 marks for 6 tokens"},
		{"too long", func(s *Sequence) { s.IDs = append(s.IDs, 1) }, "has 7 tokens and 2 images, want at most 6 and 2"},
		{"another size", func(s *Sequence) { s.Images[0] = picture(r, c, 1, 3) }, "1 frames of 3 patches, want 1 of 4"},
	} {
		s := interleaved(r, c, 6, 0, 3)
		tt.change(&s)
		_, err := c.Batch([]Sequence{s}, Shape{Tokens: 6, Images: 2, Frames: 1, Patches: 4})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestGradients(t *testing.T) {
	c := small()
	c.Text.Layers, c.Text.Width, c.Vision, c.Every = 2, 6, 4, 1
	c.Resampler = ResamplerConfig{Depth: 1, Latents: 2, Heads: 1, HeadWidth: 3, Mult: 1, MaxImages: 2, MaxFrames: 2}
	c.Cross = CrossConfig{Heads: 1, HeadWidth: 2, Mult: 1}
	m := random(t, c)
	r := rand.New(rand.NewPCG(9, 9))
	batch := []Sequence{interleaved(r, c, 6, 1, 3), interleaved(r, c, 4, 0)}
	batch[0].Images[1] = picture(r, c, 2, 3)
	s := c.Shape(batch)
	in, err := m.Batch(batch, s)
	if err != nil {
		t.Fatal(err)
	}
	graphtest.GradAt(t, m.Params(), in, graph.Options{Training: true}, func(b *graph.Builder) *graph.Node {
		return Objective{m, s}.Loss(b, 2)
	})
}

func TestResamplerErrors(t *testing.T) {
	c := small()
	c.Resampler.MaxImages = 1
	m := random(t, c)
	_, err := graph.Compile(func(b *graph.Builder) {
		b.Output("latents", m.Latents(b, b.Input("patches", 1, 2, 1, 4, c.Vision), nil))
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "2 images of a text, want at most 1") {
		t.Errorf("too many images: %v", err)
	}
	_, err = graph.Compile(func(b *graph.Builder) {
		n := c.Text.Context + 1
		b.Output("logits", m.Logits(b, b.Input("ids", 1, n), b.Input("time", 1, n), b.Input("latents", 1, 1, 3, c.Vision)))
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "21 tokens, want at most n_positions 20") {
		t.Errorf("too long: %v", err)
	}
}
