package main

import (
	"math"
	"slices"
	"strings"
	"testing"

	"tessera/clip"
	"tessera/dalle"
	"tessera/flamingo"
	"tessera/graph"
	"tessera/vqvae"
)

// wants tells whether a check came to a state, and to which.
func wants(t *testing.T, e *examination, check string, want state) {
	t.Helper()
	for _, f := range e.found {
		if f.Check == check {
			if f.State != want {
				t.Errorf("%s is %s (%s), want %s", check, f.State, f.Found, want)
			}
			return
		}
	}
	t.Errorf("there is no check %q in %+v", check, e.found)
}

// masked computes a DALL·E whose rows see what visible tells, and whose logits
// are those of the states from first on.
func masked(t *testing.T, m *dalle.Model, first int, visible func(row, column int) bool) func(text, image []int) (painting, error) {
	t.Helper()
	T, N := m.TextTokens, m.ImageTokens
	L := T + N - 1
	mask := make([]float64, L*L)
	for i := range L {
		for j := range L {
			if !visible(i, j) {
				mask[i*L+j] = math.Inf(-1)
			}
		}
	}
	upTo := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(i)
		}
		return v
	}
	p, err := newProbe(func(b *graph.Builder) {
		text, image := b.Input("text", 1, T), b.Input("image", 1, N)
		places := b.Gather(b.Param(m.Params().Get("image_pos_embedding")), b.Const(upTo(N), N))
		drawn := b.Add(m.Image.Forward(b, image), places)
		x := b.Concat(1, b.Add(m.Text.Forward(b, text), m.TextPositions.Forward(b, b.Const(upTo(T), T))), b.Slice(drawn, 1, 0, N-1))
		seen := b.Const(mask, L, L)
		for _, k := range m.Blocks {
			x = k.Forward(b, x, seen)
		}
		b.Output("states", x)
		logits := m.Head.Forward(b, m.Norm.Forward(b, x))
		b.Output("logits", b.Slice(logits, 1, first, min(first+N, L)))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return func(text, image []int) (painting, error) {
		states, err := p.run(graph.Values{"text": numbers(text, 1, T), "image": numbers(image, 1, N)}, "states")
		if err != nil {
			return painting{}, err
		}
		logits, err := p.rows("logits")
		return painting{states, logits}, err
	}
}

func TestDoctorPrefixMask(t *testing.T) {
	m, err := dalle.Load("../../testdata/dalle/tiny")
	if err != nil {
		t.Fatal(err)
	}
	T := m.TextTokens
	prefix := func(i, j int) bool { return j <= i || i < T && j < T }
	const (
		blind  = "text rows do not see the image"
		reads  = "image rows see the text"
		causal = "image rows are causal"
		next   = "no token predicts itself"
		among  = "text rows among themselves"
	)
	for _, tt := range []struct {
		name    string
		first   int
		visible func(i, j int) bool
		loss    float64 // text_loss_weight
		wrong   []string
	}{
		{"the prefix mask", T - 1, prefix, 0, nil},
		{"image rows blocked from text columns", T - 1, func(i, j int) bool { return prefix(i, j) && (i < T) == (j < T) }, 0, []string{reads}},
		{"text that sees the image", T - 1, func(i, j int) bool { return i < T || j <= i }, 0, []string{blind, causal, next}},
		{"no mask", T - 1, func(int, int) bool { return true }, 0, []string{blind, causal, next}},
		{"image rows that see later ones", T - 1, func(i, j int) bool { return prefix(i, j) || i >= T }, 0, []string{causal, next}},
		{"causal text, predicted too", T - 1, func(i, j int) bool { return j <= i }, 0.125, nil},
		{"causal text that is not predicted", T - 1, func(i, j int) bool { return j <= i }, 0, []string{among}},
		{"text that sees itself and is predicted", T - 1, prefix, 0.125, []string{among}},
		{"text tokens by themselves", T - 1, func(i, j int) bool { return prefix(i, j) && (i >= T || i == j) }, 0, []string{among}},
		{"logits of tokens that were read", T, prefix, 0, []string{next}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &examination{seed: 1}
			compute := masked(t, m, tt.first, tt.visible)
			c := m.Config
			c.TextLoss = tt.loss
			e.prefixMask(c, compute)
			if len(e.found) != 5 {
				t.Fatalf("%d findings, want 5: %+v", len(e.found), e.found)
			}
			for _, f := range e.found {
				if want := slices.Contains(tt.wrong, f.Check); want != (f.State == wrong) {
					t.Errorf("%s is %s: %s", f.Check, f.State, f.Found)
				}
			}
		})
	}
}

func TestDoctorPreNorm(t *testing.T) {
	m, err := clip.Load("../../testdata/clip/tiny", clip.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v := m.Vision
	image := normals((&examination{}).rng(), v.Channels*v.ImageSize*v.ImageSize)
	for name, norm := range map[string]bool{"with": true, "without": false} {
		e := &examination{}
		e.preNorm([]*graph.Param{v.Patches.Weight, v.Class, v.Positions}, func() ([]float32, error) {
			rows, err := imageRows(image, v.Channels, v.ImageSize, func(b *graph.Builder, x *graph.Node) *graph.Node {
				x = v.Patches.Forward(b, x)
				x = b.Concat(1, b.Reshape(b.Param(v.Class), 1, 1, v.HiddenSize), x)
				x = b.Add(x, b.Param(v.Positions))
				if norm {
					x = v.PreNorm.Forward(b, x)
				}
				for _, k := range v.Blocks {
					x = k.Forward(b, x, nil)
				}
				return b.L2Normalize(v.Projection.Forward(b, v.Norm.Forward(b, b.At(x, 1, 0))), 1e-12)
			})
			if err != nil {
				return nil, err
			}
			return rows[0], nil
		})
		wants(t, e, "norm before the blocks", map[bool]state{true: healthy, false: wrong}[norm])
		if t.Failed() {
			t.Fatalf("the tower is one %s the norm", name)
		}
	}
}

// sums are rows by a rule: row i adds the tokens that it sees.
func sums(sees func(i, j int) bool) func(ids []int) ([][]float32, error) {
	return func(ids []int) ([][]float32, error) {
		rows := make([][]float32, len(ids))
		for i := range rows {
			sum := 0
			for j, id := range ids {
				if sees(i, j) {
					sum += id * (j + 1)
				}
			}
			rows[i] = []float32{float32(sum)}
		}
		return rows, nil
	}
}

func TestDoctorCausal(t *testing.T) {
	for _, tt := range []struct {
		name               string
		sees               func(i, j int) bool
		length, vocabulary int
		want               state
	}{
		{"causal", func(i, j int) bool { return j <= i }, 8, 9, healthy},
		{"all", func(int, int) bool { return true }, 8, 9, wrong},
		{"one token ahead", func(i, j int) bool { return j <= i+1 }, 8, 9, wrong},
		{"nothing", func(int, int) bool { return false }, 8, 9, wrong},
		{"one token", func(i, j int) bool { return j <= i }, 1, 9, skipped},
		{"one word", func(i, j int) bool { return j <= i }, 8, 1, skipped},
	} {
		e := &examination{seed: 3}
		e.causal(sums(tt.sees), tt.length, tt.vocabulary)
		wants(t, e, "causal text", tt.want)
	}
}

func TestDoctorPooling(t *testing.T) {
	const n = 6
	c := clip.TextConfig{Vocabulary: 20, Context: n, EOS: 19}
	for _, tt := range []struct {
		name string
		at   func(text []int) int
		want state
	}{
		{"the end token", c.End, healthy},
		{"the last place", func([]int) int { return n - 1 }, wrong},
		{"the first place", func([]int) int { return 0 }, healthy}, // a token before the end still counts
		{"one after the end", func(text []int) int { return c.End(text) + 1 }, wrong},
	} {
		e := &examination{seed: 1}
		e.pooling(c, n, func(texts [][]int) ([][]float32, error) {
			var rows [][]float32
			for _, text := range texts {
				all, err := sums(func(i, j int) bool { return j <= i })(text)
				if err != nil {
					return nil, err
				}
				rows = append(rows, all[tt.at(text)])
			}
			return rows, nil
		})
		wants(t, e, "pooling at the end token", tt.want)
	}
}

func TestDoctorMediaMask(t *testing.T) {
	load := func() *flamingo.Model {
		m, err := flamingo.Load("../../testdata/flamingo/tiny", flamingo.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	// A model that claims to show the last image alone, and shows all.
	e, m := &examination{seed: 1}, load()
	s, fits := newStory(e, m.Config)
	if !fits {
		t.Fatal("no text with two images fits")
	}
	patches := normals(e.rng(), 2*3*m.Vision)
	shown := func(times ...int) func(x ...[]float32) ([][][]float32, error) {
		return func(x ...[]float32) (rows [][][]float32, err error) {
			p, err := newProbe(func(b *graph.Builder) {
				latents := m.Latents(b, b.Input("patches", 1, 2, 1, 3, m.Vision), nil)
				b.Output("logits", m.Logits(b, b.Input("ids", 1, len(s.ids)), b.Input("time", 1, len(s.ids)), latents))
			}, nil)
			if err != nil {
				return nil, err
			}
			defer p.Close()
			for _, x := range x {
				one, err := p.run(graph.Values{"ids": numbers(s.ids, 1, len(s.ids)), "time": numbers(times, 1, len(times)), "patches": numbers(x, 1, 2, 1, 3, m.Vision)}, "logits")
				if err != nil {
					return nil, err
				}
				rows = append(rows, one)
			}
			return rows, nil
		}
	}
	for _, tt := range []struct {
		name      string
		immediate bool // as the model computes
		times     []int
		want      state
	}{
		{"the last image", true, s.time, healthy},
		{"all images so far", false, s.time, wrong},
		{"the first image from the start", true, []int{1, 1, 1, 1, 1, 2, 2, 2}, wrong},
		{"no image", true, make([]int, 8), wrong},
		{"the second image too late", true, []int{0, 0, 1, 1, 1, 1, 2, 2}, wrong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &examination{seed: 1}
			logits := shown(tt.times...)
			e.mediaMask(m, s, patches, func(x ...[]float32) ([][][]float32, error) {
				m.Immediate = tt.immediate
				defer func() { m.Immediate = true }()
				return logits(x...)
			})
			wants(t, e, "media mask", tt.want)
		})
	}

	// Gates of another model stay open.
	other := load()
	e = &examination{seed: 1}
	logits := shown(s.time...)
	e.closedGates(other, s, func([]int) ([][]float32, error) {
		rows, err := logits(patches)
		if err != nil {
			return nil, err
		}
		return rows[0], nil
	})
	wants(t, e, "gates at 0", wrong)
	for _, p := range gatesOf(other) {
		if p.Float32s()[0] == 0 {
			t.Errorf("%s is left at 0", p.Name)
		}
	}
}

func TestDoctorStraightThrough(t *testing.T) {
	m, err := vqvae.Load("../../testdata/vqvae/tiny")
	if err != nil {
		t.Fatal(err)
	}
	z, err := encoded(m, (&examination{}).rng())
	if err != nil {
		t.Fatal(err)
	}
	codes := func(b *graph.Builder, z *graph.Node) *graph.Node { return m.Quantizer.Forward(b, z).Codes }
	for _, tt := range []struct {
		name  string
		codes func(b *graph.Builder, z *graph.Node) *graph.Node
		want  string
	}{
		{"passed on", codes, ""},
		{"stopped", func(b *graph.Builder, z *graph.Node) *graph.Node { return b.StopGradient(codes(b, z)) }, "the encoder gets no gradient"},
		{"doubled", func(b *graph.Builder, z *graph.Node) *graph.Node { return b.Scale(codes(b, z), 2) }, "at the encoder's output"},
	} {
		got, err := straightThrough(z, m.EmbeddingDim, quantizing{tt.codes, m.Draw})
		if err != nil {
			t.Fatal(err)
		}
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
