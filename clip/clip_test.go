package clip

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/graphtest"
)

// tiny is small enough for finite differences.
func tiny() Config {
	c := defaults()
	c.ProjectionDim, c.LogitScale = 3, 0.5
	v := &c.Vision
	v.ImageSize, v.PatchSize, v.Channels, v.ProjectionDim = 4, 2, 2, 3
	v.HiddenSize, v.Intermediate, v.Layers, v.Heads = 4, 6, 1, 2
	t := &c.Text
	t.Context, t.ProjectionDim = 5, 3
	t.HiddenSize, t.Intermediate, t.Layers, t.Heads = 6, 5, 2, 3
	c.SetVocabulary(9, 7, 8)
	return c
}

func newModel(t testing.TB, c Config) *Model {
	t.Helper()
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	// Move biases and norms off their initial values, so that one left out shows.
	for p := range m.Params().All() {
		for i := range p.Float32s() {
			p.Float32s()[i] += 0.1 * float32(i%7-3)
		}
	}
	return m
}

func random(seed uint64, shape ...int) *tensor.Dense {
	r := rand.New(rand.NewPCG(seed, seed))
	v := make([]float32, tensor.Shape(shape).TotalSize())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))
}

// vector is a tensor (n).
func vector(v ...float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(len(v)), tensor.WithBacking(v))
}

// pairs is a batch of n for a model, with texts of different lengths.
func pairs(t testing.TB, c Config, n int) graph.Values {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 5))
	texts := make([][]int, n)
	for i := range texts {
		texts[i] = []int{c.Text.BOS}
		for range r.IntN(c.Text.Context - 1) {
			texts[i] = append(texts[i], r.IntN(c.Text.BOS))
		}
		texts[i] = append(texts[i], c.Text.EOS)
	}
	ids, ends, err := c.Text.Texts(texts, c.Text.Context)
	if err != nil {
		t.Fatal(err)
	}
	return graph.Values{
		"image": random(3, n, c.Vision.Channels, c.Vision.ImageSize, c.Vision.ImageSize), "ids": ids, "ends": ends,
	}
}

func TestGradients(t *testing.T) {
	for _, tt := range []struct {
		name   string
		labels bool
		bias   bool
		act    string
	}{
		{"InfoNCE", false, false, "quick_gelu"},
		{"InfoNCE with shared labels", true, false, "gelu"},
		{"sigmoid", false, true, "quick_gelu"},
		{"sigmoid with shared labels", true, true, "quick_gelu"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tiny()
			c.Vision.HiddenAct, c.Text.HiddenAct = tt.act, tt.act
			c.Text.AttentionDropout = 0.2
			if tt.bias {
				bias := -1.0
				c.LogitBias = &bias
			}
			m := newModel(t, c)
			in := pairs(t, c, 3)
			if tt.labels {
				in["label"] = vector(7, 2, 7)
			}
			graphtest.GradAt(t, m.Params(), in, graph.Options{Training: true}, func(b *graph.Builder) *graph.Node {
				return Objective{Model: m, Labels: tt.labels}.Loss(b, 3)
			})
		})
	}
}

// run evaluates the outputs of a graph.
func run(t testing.TB, in graph.Values, build func(b *graph.Builder)) func(name string) []float32 {
	t.Helper()
	p, err := graph.Compile(build, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(in); err != nil {
		t.Fatal(err)
	}
	return func(name string) []float32 { return p.Output(name).Float32s() }
}

func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !(math.Abs(float64(got[i])-float64(want[i])) <= tol) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// TestTextLength embeds the same texts in the whole context and only up to the
// last end token, beside others and alone.
func TestTextLength(t *testing.T) {
	for _, eos := range []int{8, legacyEOS} {
		c := tiny()
		c.Text.EOS = eos
		m := newModel(t, c)
		texts := [][]int{{7, 1, 8}, {7, 8}, {7, 0, 8, 5, 4, 3, 1}}
		embed := func(texts [][]int, length int) []float32 {
			ids, ends, err := c.Text.Texts(texts, length)
			if err != nil {
				t.Fatal(err)
			}
			return run(t, graph.Values{"ids": ids, "ends": ends}, func(b *graph.Builder) {
				b.Output("text", m.EncodeText(b, b.Input("ids", ids.Shape()...), b.Input("ends", len(texts))))
			})("text")
		}
		whole := embed(texts, 5)
		near(t, "cut", embed(texts, 0), whole, 1e-6)
		near(t, "alone", embed(texts[1:2], 0), whole[3:6], 1e-6)
		if slices.Equal(whole[:3], whole[3:6]) {
			t.Error("different texts have one embedding")
		}
	}
}

func TestVisionOutputs(t *testing.T) {
	c := tiny()
	s := graph.NewScope(graph.Seed(2))
	v := NewVision(s, c.Vision, 3) // alone
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	images := random(4, 3, 2, 4, 4)
	out := run(t, graph.Values{"image": images}, func(b *graph.Builder) {
		x := b.Input("image", 3, 2, 4, 4)
		b.Output("image", b.Expect(v.Embed(b, x), 3, 3))
		b.Output("features", b.Expect(v.Features(b, x), 3, 4, 4))
		b.Output("patches", b.Expect(v.Patchwise(b, x), 3, 4, 3))
	})
	one := run(t, graph.Values{"image": tensor.New(tensor.WithShape(1, 2, 4, 4), tensor.WithBacking(images.Float32s()[32:64]))}, func(b *graph.Builder) {
		b.Output("image", v.Embed(b, b.Input("image", 1, 2, 4, 4)))
	})
	near(t, "image alone", one("image"), out("image")[3:6], 1e-6)
	for _, name := range []string{"image", "patches"} {
		for row := range slices.Chunk(out(name), 3) {
			if n := math.Hypot(math.Hypot(float64(row[0]), float64(row[1])), float64(row[2])); math.Abs(n-1) > 1e-6 {
				t.Errorf("%s: row of length %g, want 1", name, n)
			}
		}
	}
}

func TestPublishedSizes(t *testing.T) {
	for _, tt := range []struct {
		preset       string
		params, size int
	}{
		{"b32", 398, 151_277_313}, // 12 layers of 16 tensors a tower
		{"small32", 110, 0},
	} {
		c, err := Preset(tt.preset)
		if err != nil {
			t.Fatal(err)
		}
		m, err := New(c, zeros{})
		if err != nil {
			t.Fatal(err)
		}
		if n, k := m.Params().Size(), m.Params().Len(); k != tt.params || (tt.size > 0 && n != tt.size) {
			t.Errorf("%s has %d parameters in %d tensors, want %d in %d", tt.preset, n, k, tt.size, tt.params)
		}
	}
}

// zeros is a source that does not spend time on random numbers.
type zeros struct{}

func (zeros) Tensor(_ string, shape []int, _ graph.Init) (*tensor.Dense, error) {
	if len(shape) == 0 {
		shape = []int{1}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32)), nil
}

func TestInitialization(t *testing.T) {
	c, err := Preset("small64")
	if err != nil {
		t.Fatal(err)
	}
	c.Text.HiddenSize, c.Text.Layers = 32, 8
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"vision_model.embeddings.class_embedding":                 0.125, // 64^-½
		"vision_model.embeddings.position_embedding.weight":       0.125,
		"vision_model.encoder.layers.1.self_attn.q_proj.weight":   0.125,
		"vision_model.encoder.layers.1.self_attn.out_proj.weight": 0.125 / math.Sqrt(8),
		"vision_model.encoder.layers.1.mlp.fc1.weight":            math.Pow(128, -0.5),
		"visual_projection.weight":                                0.125,
		"text_model.embeddings.token_embedding.weight":            0.02,
		"text_model.embeddings.position_embedding.weight":         0.01,
		"text_model.encoder.layers.0.mlp.fc2.weight":              math.Pow(32, -0.5) / 4,
		"text_projection.weight":                                  math.Pow(32, -0.5),
	} {
		sum := 0.0
		values := m.Params().Get(name).Float32s()
		for _, v := range values {
			sum += float64(v) * float64(v)
		}
		n := float64(len(values))
		// Four standard errors of a standard deviation.
		if got := math.Sqrt(sum / n); math.Abs(got/want-1) > 4/math.Sqrt(2*n) {
			t.Errorf("%s has standard deviation %g, want %g", name, got, want)
		}
	}
	if got := m.LogitScale.Float32s()[0]; got != 2.6592 {
		t.Errorf("logit scale %g, want 2.6592", got)
	}
}

func TestClamp(t *testing.T) {
	m := newModel(t, tiny())
	for _, tt := range []struct{ from, want float32 }{{5, maxLogitScale}, {4.6, 4.6}, {-3, -3}} {
		m.LogitScale.Float32s()[0] = tt.from
		Clamp(m.Params())
		if got := m.LogitScale.Float32s()[0]; got != tt.want {
			t.Errorf("scale %g becomes %g, want %g", tt.from, got, tt.want)
		}
	}
}
