package vqvae

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/graph/op"
)

// tiny is small enough for finite differences.
func tiny(t *testing.T, kind string) Config {
	t.Helper()
	c := base(8, 2, 6, 6)
	c.HiddenDims = []int{3, 4}
	if err := c.SetQuantizer(kind, 6); err != nil {
		t.Fatal(err)
	}
	return c
}

func newModel(t *testing.T, c Config) *Model {
	t.Helper()
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Params().All() { // off their initial values, so that a forgotten one shows
		for i := range p.Float32s() {
			p.Float32s()[i] += 0.05 * float32(i%7-3)
			if p.Frozen {
				p.Float32s()[i] = max(0.5, p.Float32s()[i])
			}
		}
	}
	return m
}

func images(seed uint64, shape ...int) *tensor.Dense {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, tensor.Shape(shape).TotalSize())
	for i := range v {
		v[i] = r.Float32()
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))
}

// TestGradients checks the path behind the codes, and what leads up to them,
// apart: rounding has no derivative, so finite differences of a whole model
// would not agree with the straight-through gradient.
func TestGradients(t *testing.T) {
	c := tiny(t, Gradient)
	c.ResidualBlocks = 1
	c.Slope = 1 // finite differences stumble over kinks
	m := newModel(t, c)
	in := graph.Values{"image": images(1, 3, 2, 8, 8), "codes": images(2, 3*4, 3)}
	for name, build := range map[string]func(b *graph.Builder) *graph.Node{
		"encoder": func(b *graph.Builder) *graph.Node {
			b.Input("codes", 12, 3)
			return m.Encoder.Forward(b, b.Input("image", 3, 2, 8, 8))
		},
		"decoder": func(b *graph.Builder) *graph.Node {
			b.Input("image", 3, 2, 8, 8)
			return m.Draw(b, b.Input("codes", 12, 3))
		},
	} {
		t.Run(name, func(t *testing.T) {
			graphtest.GradAt(t, m.Params(), in, graph.Options{Training: true}, build)
		})
	}
}

// TestCodebookLosses holds gradients against their formulas: 2(e − z)/ND for a
// code, β·2(z − e)/ND for a vector, besides what passes straight through.
func TestCodebookLosses(t *testing.T) {
	for _, tt := range []struct {
		kind       string
		code, back float64 // weights of the two terms
	}{{Gradient, 1, 0.25}, {EMA, 0, 0.25}} {
		t.Run(tt.kind, func(t *testing.T) {
			s := graph.NewScope(graph.Seed(2))
			q := newQuantizer(s.Sub("vq"), tiny(t, tt.kind))
			z := s.Param("z", graph.Normal(1), 4, 3)
			table := s.Params().Get("vq.embedding.weight")
			graph.Normal(1)(rand.New(rand.NewPCG(3, 3)), table.Float32s())
			codes := slices.Clone(table.Float32s())
			prog, err := graph.Compile(func(b *graph.Builder) {
				out := q.Forward(b, b.Param(z))
				b.Output("codes", out.Codes)
				b.Output("ids", out.IDs)
				b.Minimize(b.Add(out.Loss, b.Sum(out.Codes)))
			}, &graph.Options{Training: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := prog.Run(nil); err != nil {
				t.Fatal(err)
			}
			ids := prog.Output("ids").Float32s()
			wantZ, wantE := make([]float64, 12), make([]float64, 18)
			for i, id := range ids {
				for j := range 3 {
					e, x := codes[int(id)*3+j], z.Float32s()[i*3+j]
					if got := prog.Output("codes").Float32s()[i*3+j]; got != e {
						t.Errorf("code of vector %d is %g, want %g", i, got, e)
					}
					wantZ[i*3+j] = 1 + tt.back*2*float64(x-e)/12
					wantE[int(id)*3+j] += tt.code * 2 * float64(e-x) / 12
				}
			}
			for _, g := range prog.Grads() {
				want := wantZ
				if g.Param == table {
					want = wantE
				}
				for i, v := range g.Value.Float32s() {
					if d := float64(v) - want[i]; d > 1e-6 || d < -1e-6 {
						t.Errorf("%s[%d]: gradient %g, want %g", g.Param.Name, i, v, want[i])
					}
				}
			}
			if frozen := table.Frozen; frozen != (tt.code == 0) {
				t.Errorf("the codebook is frozen: %t", frozen)
			}
		})
	}
}

// TestGumbelGradient: in evaluation nothing is random, and the mixture's
// gradient is that of a smooth function once the codes that are shown instead
// are left out.
func TestGumbelGradient(t *testing.T) {
	s := graph.NewScope(graph.Seed(2))
	q := newQuantizer(s.Sub("vq"), tiny(t, Gumbel)).(*relaxed)
	z := s.Param("z", graph.Normal(1), 4, 3)
	graphtest.GradAt(t, s.Params(), nil, graph.Options{}, func(b *graph.Builder) *graph.Node {
		scores := q.scores.Forward(b, b.Param(z))
		mixture := b.MatMul(b.Softmax(scores), b.Param(q.table))
		return b.Add(b.Sum(mixture), divergence(b, scores))
	})
}

// TestChannelsLast: the vector of a place is its channels, so that moving the
// image by the size of a token moves the tokens.
func TestChannelsLast(t *testing.T) {
	m := newModel(t, tiny(t, Gradient))
	tok := m.Tokenizer()
	defer tok.Close()
	x := images(4, 1, 2, 8, 8)
	prog, err := graph.Compile(func(b *graph.Builder) {
		in := b.Input("image", 1, 2, 8, 8)
		b.Output("z", m.Encoder.Forward(b, in))
		b.Output("ids", m.Quantize(b, in).IDs)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := prog.Run(graph.Values{"image": x}); err != nil {
		t.Fatal(err)
	}
	z, codes := prog.Output("z").Float32s(), m.Params().Get("vq.embedding.weight").Float32s()
	ids, err := tok.Encode(x)
	if err != nil {
		t.Fatal(err)
	}
	for place := range 4 {
		best, least := 0, 1e9
		for k := range m.NumEmbeddings {
			d := 0.0
			for c := range 3 {
				e := float64(z[c*4+place] - codes[k*3+c])
				d += e * e
			}
			if d < least {
				best, least = k, d
			}
		}
		if ids[place] != best {
			t.Errorf("token %d is %d, want %d", place, ids[place], best)
		}
	}
}

func TestTokenizer(t *testing.T) {
	for _, kind := range Quantizers() {
		t.Run(kind, func(t *testing.T) {
			m := newModel(t, tiny(t, kind))
			tok := m.Tokenizer()
			defer tok.Close()
			x := images(5, 3, 2, 8, 8)
			ids, err := tok.Encode(x)
			if err != nil {
				t.Fatal(err)
			}
			drawn, err := tok.Decode(ids)
			if err != nil {
				t.Fatal(err)
			}
			// One graph from images to images agrees with both halves.
			prog, err := graph.Compile(func(b *graph.Builder) {
				y, _, _ := m.Reconstruct(b, b.Input("image", 3, 2, 8, 8))
				b.Output("y", b.Must(op.Clamp(y, 0, 1)))
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := prog.Run(graph.Values{"image": x}); err != nil {
				t.Fatal(err)
			}
			for i, v := range prog.Output("y").Float32s() {
				if d := v - drawn.Float32s()[i]; d > 1e-6 || d < -1e-6 {
					t.Fatalf("pixel %d is %g by tokens, %g at once", i, drawn.Float32s()[i], v)
				}
			}
			// An image alone has the tokens it has in a batch.
			last := tensor.New(tensor.WithShape(1, 2, 8, 8), tensor.WithBacking(x.Float32s()[2*128:]))
			alone, err := tok.Encode(last)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(alone, ids[2*4:]) {
				t.Errorf("tokens %v alone, %v in a batch", alone, ids[2*4:])
			}
			for _, bad := range [][]int{nil, ids[:3], {0, 0, 0, m.NumEmbeddings}, {0, -1, 0, 0}} {
				if _, err := tok.Decode(bad); err == nil {
					t.Errorf("no error for tokens %v", bad)
				}
			}
			if _, err := tok.Encode(images(1, 2, 1, 8, 8)); err == nil {
				t.Error("no error for images with one channel")
			}
		})
	}
}

// TestFinite: every code is reached, has the number by which it is looked up,
// and lies in [−1, 1].
func TestFinite(t *testing.T) {
	for _, levels := range [][]int{{2}, {3, 2}, {5, 4, 3}} {
		q := newFinite(levels)
		K, D := product(levels), len(levels)
		ids := make([]float64, K)
		for i := range ids {
			ids[i] = float64(i)
		}
		prog, err := graph.Compile(func(b *graph.Builder) {
			codes := q.Lookup(b, b.Const(ids, K))
			b.Output("codes", codes)
			// What tanh takes to the middle of each level.
			z := make([]float64, 0, K*D)
			for id := range K {
				for i, L := range levels {
					level := float64(id%L) - q.first[i]
					z = append(z, math.Atanh((level+q.offset[i])/q.half[i])-q.shift[i])
					id /= L
				}
			}
			out := q.Forward(b, b.Const(z, K, D))
			b.Output("again", out.Codes)
			b.Output("ids", out.IDs)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := prog.Run(nil); err != nil {
			t.Fatal(err)
		}
		codes, again := prog.Output("codes").Float32s(), prog.Output("again").Float32s()
		for i, v := range codes {
			if v != again[i] || v < -1 || v > 1 {
				t.Errorf("%v: element %d of the codes is %g looked up, %g quantized", levels, i, v, again[i])
			}
		}
		for i, v := range prog.Output("ids").Float32s() {
			if int(v) != i {
				t.Errorf("%v: code %d has number %g", levels, i, v)
			}
		}
	}
}
