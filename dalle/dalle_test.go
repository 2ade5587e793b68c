package dalle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/train"
)

var _ train.Model = (*Model)(nil)

// variants are small models of all kinds, with texts of 5 tokens at most.
var variants = []struct {
	name string
	set  func(*Config)
}{
	{"padded", func(*Config) {}},
	{"axial", func(c *Config) { c.Positions = Axial }},
	{"with a loss of texts", func(c *Config) { c.TextLoss = 0.125 }},
	{"without padding", func(c *Config) { c.Padding, c.TextDropout = NoPadding, 0 }},
}

func tinyConfig() Config {
	c := Small()
	c.TextVocab, c.ImageVocab, c.TextTokens, c.ImageTokens = 11, 13, 5, 9
	c.Width, c.Heads, c.Layers = 12, 3, 2
	c.Padding = 10
	c.InitializerRange = 0.3
	return c
}

// newTiny returns a model of random values, some of them large, so that tokens
// differ clearly in their scores.
func newTiny(t testing.TB, set func(*Config)) *Model {
	t.Helper()
	c := tinyConfig()
	set(&c)
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
	return m
}

// texts are token ids for tiny models, of several lengths unless full is asked
// for.
func texts(m *Model, n int, full bool) [][]int {
	r := rand.New(rand.NewPCG(7, 8))
	out := make([][]int, n)
	for i := range out {
		length := m.TextTokens
		if !full && m.Padding != NoPadding {
			length = i % (m.TextTokens + 1)
		}
		for range length {
			out[i] = append(out[i], r.IntN(10))
		}
	}
	return out
}

func images(m *Model, n int) [][]int {
	r := rand.New(rand.NewPCG(9, 10))
	out := make([][]int, n)
	for i := range out {
		for range m.ImageTokens {
			out[i] = append(out[i], r.IntN(m.ImageVocab))
		}
	}
	return out
}

// inputs are the tensors of texts and images.
func inputs(t testing.TB, m *Model, texts, images [][]int) graph.Values {
	t.Helper()
	text := tensor.New(tensor.WithShape(len(texts), m.TextTokens), tensor.Of(tensor.Float32))
	for i, ids := range texts {
		if err := m.FillText(text.Float32s()[i*m.TextTokens:(i+1)*m.TextTokens], ids); err != nil {
			t.Fatal(err)
		}
	}
	image := tensor.New(tensor.WithShape(len(images), m.ImageTokens), tensor.Of(tensor.Float32))
	for i, ids := range images {
		for j, id := range ids {
			image.Float32s()[i*m.ImageTokens+j] = float32(id)
		}
	}
	return graph.Values{"text": text, "image": image}
}

// outputs builds the states (B, L, D) and scores (B, N, V) of a model.
func outputs(m *Model, n int) func(b *graph.Builder) {
	return func(b *graph.Builder) {
		states := m.hidden(b, b.Input("text", n, m.TextTokens), b.Input("image", n, m.ImageTokens))
		b.Output("states", states)
		b.Output("logits", m.imageLogits(b, states))
	}
}

func TestGradients(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			m := newTiny(t, func(c *Config) {
				v.set(c)
				c.Width, c.Heads, c.Layers, c.ImageTokens, c.Inner = 4, 2, 1, 4, 5
			})
			in := inputs(t, m, texts(m, 3, false), images(m, 3))
			graphtest.GradAt(t, m.Params(), in, graph.Options{Training: true}, func(b *graph.Builder) *graph.Node { return m.Loss(b, 3) })
		})
	}
}

// The scores of images depend on texts: a mask that hides the text from image
// tokens would train a model that ignores it.
func TestImagesSeeTexts(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			m := newTiny(t, v.set)
			for row := range m.ImageTokens {
				prog, err := graph.Compile(func(b *graph.Builder) {
					logits := m.Logits(b, b.Input("text", 2, m.TextTokens), b.Input("image", 2, m.ImageTokens))
					b.Minimize(b.Mean(b.Square(b.At(logits, 1, row))))
				}, &graph.Options{Training: true})
				if err != nil {
					t.Fatal(err)
				}
				text := texts(m, 2, true)
				if err := prog.Run(inputs(t, m, text, images(m, 2))); err != nil {
					t.Fatal(err)
				}
				for _, g := range prog.Grads() {
					if g.Param != m.Text.Weight {
						continue
					}
					for _, id := range slices.Concat(text...) {
						sum := 0.0
						for _, x := range g.Value.Float32s()[id*m.Width : (id+1)*m.Width] {
							sum += math.Abs(float64(x))
						}
						if sum < 1e-6 {
							t.Errorf("scores of image token %d have gradient %g with respect to text token %d", row, sum, id)
						}
					}
				}
				prog.Close()
			}
		})
	}
}

// What a row sees: changing a token changes later rows, or all text, and no
// others.
func TestMask(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			m := newTiny(t, v.set)
			prog, err := graph.Compile(outputs(m, 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer prog.Close()
			text, image := texts(m, 1, true), images(m, 1)
			states := func() []float32 {
				if err := prog.Run(inputs(t, m, text, image)); err != nil {
					t.Fatal(err)
				}
				return slices.Clone(prog.Output("states").Float32s())
			}
			before := states()
			T, L := m.TextTokens, m.sequence()
			for j := range L + 1 {
				ids, i, vocabulary := text[0], j, 10
				if j >= T {
					ids, i, vocabulary = image[0], j-T, m.ImageVocab
				}
				was := ids[i]
				ids[i] = (was + 1) % vocabulary
				after := states()
				ids[i] = was
				for row := range L {
					sees := row >= j || row < T && j < T && !m.Causal()
					same := slices.Equal(before[row*m.Width:(row+1)*m.Width], after[row*m.Width:(row+1)*m.Width])
					if same == sees {
						t.Errorf("row %d sees token %d: %t, want %t", row, j, !same, sees)
					}
				}
			}
		})
	}
}

// Padding is seen by nobody. Only the score of the first image token, which the
// last place of the text predicts, depends on what stands for it.
func TestPaddingIsNotSeen(t *testing.T) {
	m := newTiny(t, func(*Config) {})
	prog, err := graph.Compile(outputs(m, 6), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	in := inputs(t, m, texts(m, 6, false), images(m, 6))
	scores := func() []float32 {
		if err := prog.Run(in); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(prog.Output("logits").Float32s())
	}
	before := scores()
	for i := range m.Width {
		m.Text.Weight.Float32s()[m.Padding*m.Width+i] += 3
	}
	after := scores()
	N, V := m.ImageTokens, m.ImageVocab
	for i := range 6 {
		for k := range N {
			at := (i*N + k) * V
			same := slices.Equal(before[at:at+V], after[at:at+V])
			if want := k > 0 || i%6 == m.TextTokens; same != want {
				t.Errorf("text of %d tokens, image token %d: unchanged %t, want %t", i, k, same, want)
			}
		}
	}
	for _, v := range before {
		if math.IsNaN(float64(v)) {
			t.Fatal("scores are not numbers")
		}
	}
}

func TestLoss(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			m := newTiny(t, v.set)
			text, image := texts(m, 5, false), images(m, 5)
			prog, err := graph.Compile(func(b *graph.Builder) {
				b.Output("loss", m.Loss(b, 5))
				states := m.hidden(b, b.Input("text", 5, m.TextTokens), b.Input("image", 5, m.ImageTokens))
				b.Output("logits", m.imageLogits(b, states))
				if m.Causal() {
					b.Output("text_logits", m.TextHead.Forward(b, states))
				}
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer prog.Close()
			if err := prog.Run(inputs(t, m, text, image)); err != nil {
				t.Fatal(err)
			}
			mean := func(name string, rows int, ids [][]int, first int) float64 {
				scores := prog.Output(name)
				V := scores.Shape()[2]
				sum, n := 0.0, 0
				for i, x := range ids {
					for k := first; k < len(x); k++ {
						sum += nats(scores.Float32s()[(i*rows+k-first)*V:][:V], x[k])
						n++
					}
				}
				return sum / float64(n)
			}
			want := mean("logits", m.ImageTokens, image, 0)
			near(t, "image loss", prog.Scalar("image_loss"), want)
			if m.Causal() {
				w := mean("text_logits", m.sequence(), text, 1)
				near(t, "text loss", prog.Scalar("text_loss"), w)
				want = w/8 + 7*want/8
			}
			near(t, "loss", prog.Scalar("loss"), want)
		})
	}
}

// nats is −log softmax(scores)[id].
func nats(scores []float32, id int) float64 {
	sum := 0.0
	for _, s := range scores {
		sum += math.Exp(float64(s))
	}
	return math.Log(sum) - float64(scores[id])
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) < 1e-4*max(1, math.Abs(want))) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

func TestFillText(t *testing.T) {
	c := tinyConfig()
	full := c
	full.Padding, full.TextDropout = NoPadding, 0
	for _, tt := range []struct {
		name string
		c    Config
		ids  []int
		want string // row or error
	}{
		{"short", c, []int{3, 1}, "[3 1 10 10 10]"},
		{"none", c, nil, "[10 10 10 10 10]"},
		{"full", full, []int{0, 1, 2, 3, 10}, "[0 1 2 3 10]"},
		{"long", c, make([]int, 6), "dalle: a text of 6 tokens, want at most 5"},
		{"short without padding", full, []int{1}, "dalle: a text of 1 tokens, want 5, for the model has no padding"},
		{"unknown", c, []int{1, 11}, "dalle: token 1 of a text is 11, want 0 to 10, but not padding"},
		{"negative", c, []int{-1}, "dalle: token 0 of a text is -1, want 0 to 10, but not padding"},
		{"padding", c, []int{10}, "dalle: token 0 of a text is 10, want 0 to 10, but not padding"},
	} {
		row := make([]float32, 5)
		err := tt.c.FillText(row, tt.ids)
		got := fmt.Sprint(row)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
