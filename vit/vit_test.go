package vit

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/graphtest"
)

// tiny is small enough for finite differences.
func tiny() Config {
	c := base(4, 2, 4, 2, 2)
	c.Intermediate, c.Channels, c.InitializerRange = 6, 2, 0.5
	c.SetLabels([]string{"a", "b", "c"})
	return c
}

func random(r *rand.Rand, shape ...int) *tensor.Dense {
	v := make([]float32, tensor.Shape(shape).TotalSize())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))
}

func TestGradients(t *testing.T) {
	for _, pooling := range []string{"cls", "mean"} {
		t.Run(pooling, func(t *testing.T) {
			c := tiny()
			c.Pooling = pooling
			c.HiddenDropout, c.AttentionDropout, c.DropPath = 0.1, 0.1, 0.2
			m, err := New(c, graph.Seed(1))
			if err != nil {
				t.Fatal(err)
			}
			in := graph.Values{
				"image": random(rand.New(rand.NewPCG(1, 1)), 2, 2, 4, 4),
				"label": tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{1, 0, 0, 0, .3, .7})),
			}
			graphtest.GradAt(t, m.Params(), in, graph.Options{Training: true}, func(b *graph.Builder) *graph.Node {
				return m.Loss(b, 2)
			})
		})
	}
}

func TestBatchOfOneIsARowOfEight(t *testing.T) {
	m, err := New(tiny(), graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	images := random(rand.New(rand.NewPCG(1, 1)), 8, 2, 4, 4)
	logits := func(n int, in *tensor.Dense) []float32 {
		p, err := graph.Compile(func(b *graph.Builder) {
			b.Output("logits", m.Logits(b, b.Input("image", n, 2, 4, 4)))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(graph.Values{"image": in}); err != nil {
			t.Fatal(err)
		}
		return p.Output("logits").Float32s()
	}
	all := logits(8, images)
	last := tensor.New(tensor.WithShape(1, 2, 4, 4), tensor.WithBacking(images.Float32s()[7*32:]))
	for i, v := range logits(1, last) {
		if d := v - all[7*3+i]; d > 1e-6 || d < -1e-6 {
			t.Errorf("logit %d: %g alone, %g in a batch", i, v, all[7*3+i])
		}
	}
}

func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		c, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Preset("b17"); err == nil {
		t.Error("no error for an unknown preset")
	}
	c, _ := Preset("small28")
	c.SetLabels([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Params().Size(); n != 139_018 {
		t.Errorf("small28 with ten classes has %d parameters, want 139,018", n)
	}
}

func TestPublishedSize(t *testing.T) {
	c, _ := Preset("b16")
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	if n, k := m.Params().Size(), m.Params().Len(); n != 86_567_656 || k != 200 {
		t.Errorf("b16 has %d parameters in %d tensors, want 86,567,656 in 200", n, k)
	}
}

// Logits compute the last block for the class token alone, which changes
// nothing.
func TestLogitsAreTheHeadOfFeatures(t *testing.T) {
	for _, pooling := range []string{"cls", "mean"} {
		c := tiny()
		c.Pooling = pooling
		m, err := New(c, graph.Seed(3))
		if err != nil {
			t.Fatal(err)
		}
		images := random(rand.New(rand.NewPCG(2, 2)), 3, c.Channels, c.ImageSize, c.ImageSize)
		prog, err := graph.Compile(func(b *graph.Builder) {
			x := b.Input("image", 3, c.Channels, c.ImageSize, c.ImageSize)
			b.Output("logits", m.Logits(b, x))
			f := m.Features(b, x)
			if pooling == "mean" {
				f = b.Mean(b.Slice(f, 1, 1, c.Tokens()), 1)
			} else {
				f = b.At(f, 1, 0)
			}
			b.Output("want", m.Head.Forward(b, f))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := prog.Run(graph.Values{"image": images}); err != nil {
			t.Fatal(err)
		}
		got, want := prog.Output("logits").Float32s(), prog.Output("want").Float32s()
		for i := range want {
			if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-5) {
				t.Errorf("%s: logit %d is %g, the head of the features gives %g", pooling, i, got[i], want[i])
			}
		}
	}
}
